"""(c) PyTorch with the P x K sampler and the loss of pytorch-metric-learning, on our encoder.

Follows that library's examples: ``MPerClassSampler`` behind a ``DataLoader``, a loss over all pairs
of the batch with its defaults, Adam. The encoder is Diptych's ``cnn_small``; batches are 8 classes
of 4, as PairGen's are. All digits lie in memory as floats beforehand. Runs in an environment of its
own.
"""

import itertools
import time
from pathlib import Path

import numpy as np
from benchmarks.train.course import THREADS, Clock, Digits, Result, pair_accuracy

_CLASSES, _EACH = 8, 4


def run(folder: Path, limit_s: float, loss: str) -> Result:
    """Trains for ``limit_s`` seconds with the loss of this name, judged after each epoch."""
    start = time.perf_counter()
    import torch
    from pytorch_metric_learning import losses, samplers
    from torch import nn

    result = Result(imports=time.perf_counter() - start)
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    np.random.seed(0)  # the sampler's
    digits = Digits.read(folder)

    start = time.perf_counter()
    widths = [1, 16, 32, 64]
    convolutions: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        convolutions += [nn.Conv2d(before, after, 3, padding="same"), nn.ReLU()]
        convolutions += [nn.MaxPool2d(2, ceil_mode=True)]
    encoder = nn.Sequential(
        *convolutions[:-1],  # the last map, 7 x 7, is not pooled
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
    )
    loss_of = getattr(losses, loss)()  # normalises the embeddings by itself
    optimizer = torch.optim.Adam(encoder.parameters())
    x = torch.from_numpy(digits.train_x[:, None].astype(np.float32) / 255)
    held = torch.from_numpy(digits.held_x[:, None].astype(np.float32) / 255)
    batch = _CLASSES * _EACH
    sampler = samplers.MPerClassSampler(digits.train_y, _EACH, batch, len(x))
    data = torch.utils.data.TensorDataset(x, torch.from_numpy(digits.train_y))
    loader = torch.utils.data.DataLoader(data, batch, sampler=sampler, drop_last=True)

    clock, reading = Clock(), Clock()
    while clock.seconds < limit_s:
        clock.start()
        reading.start()
        for images, labels in loader:
            reading.stop()
            value = loss_of(encoder(images), labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if result.set_up:
                result.examples += len(images)
            else:  # the first step
                result.set_up = time.perf_counter() - start
                clock.start()
                reading.seconds = 0.0
            reading.start()
        result.training = clock.stop()
        with torch.no_grad():
            embedding = nn.functional.normalize(encoder(held)).numpy()
        distance = np.linalg.norm(embedding[digits.left] - embedding[digits.right], axis=1)
        result.curve.append((result.training, pair_accuracy(distance, digits.same)))
    result.input = reading.seconds
    result.pairs = result.examples * (batch - 1) // 2
    return result
