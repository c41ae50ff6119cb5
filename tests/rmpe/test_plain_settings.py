from mmengine.config import ConfigDict

from rmpe_spm.rmpe.parallel_branch import to_builtin_containers


def test_tuples_and_mappings_of_any_depth():
    given = ConfigDict(a=(1, [2, (3,)]), b=ConfigDict(c='x', d=None))
    plain = to_builtin_containers(given)
    assert plain == dict(a=[1, [2, [3]]], b=dict(c='x', d=None))
    assert type(plain) is type(plain['b']) is dict
