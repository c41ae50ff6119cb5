"""The source of boxes among the metrics."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from ...structures.box_source_names import box_source_name


@HOOKS.register_module()
class BoxSourceHook(Hook):
    """Say beside the metrics where the people's boxes came from.

    A top-down model's numbers on annotated and on detected boxes do not
    compare. Whatever evaluates, the metrics get an entry ``boxes``, such as
    ``'ground truth'``, ``'detections found.json (score >= 0.1)'`` or
    ``'none (single stage)'``: in the log of a test, in its JSON file, and in
    what the runner returns. After a validation it is a line of the log.
    """

    # before RuntimeInfoHook, which hands the metrics on to the log
    priority = 'HIGHEST'

    def after_val_epoch(
        self, runner: Runner, metrics: dict | None = None
    ) -> None:
        """Add the source, and log it, which the runner does for tests only."""
        if metrics is not None:
            metrics['boxes'] = box_source_name(runner.val_dataloader.dataset)
            runner.logger.info(f'boxes: {metrics["boxes"]}')

    def after_test_epoch(
        self, runner: Runner, metrics: dict | None = None
    ) -> None:
        """Add the source."""
        if metrics is not None:
            loader = runner.test_loop.dataloader
            metrics['boxes'] = box_source_name(loader.dataset)
