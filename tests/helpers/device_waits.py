"""What waits for a device, told on the meta device, which has no numbers.

There a constant left on the host and a number that is read are errors.
"""

from torch.utils._python_dispatch import TorchDispatchMode


class Waits(TorchDispatchMode):
    """Notes what would make the host wait for a device.

    A copy of numbers to a device that blocks, and values that are read. An
    index that is a list blocks unseen.
    """

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = str(func)
        if 'local_scalar' in name or 'nonzero' in name:
            self.found.append(name)
        blocking = '_to_copy' in name and not kwargs.get('non_blocking')
        if blocking and args[0].device != out.device:
            self.found.append(f'{args[0].tolist()} to the device')
        return out


def train_on_meta(model, data):
    """Take the loss of a batch, and its gradients, on the meta device.

    Args:
        model (nn.Module): A pose estimator; it is moved there.
        data (dict): A collated batch.

    Returns:
        list[str]: What waited.
    """
    model.to('meta')
    data = model.data_preprocessor(data, True)
    with Waits() as waits:
        losses = model(**data, mode='loss')
        model.parse_losses(losses)[0].backward()
    return waits.found
