"""PyTorch with the P x K sampler and a loss of pytorch-metric-learning, on the same encoder.

It follows the examples of that library: ``MPerClassSampler`` in a ``DataLoader``, a loss over all
pairs of the batch with its defaults, Adam. The encoder is Diptych's ``cnn_small``. Batches have 8
classes with 4 examples, as in PairGen. All digits are loaded into memory as floats before the
training. The module runs in a separate environment.
"""

import itertools
import time
from pathlib import Path

import numpy as np
from benchmarks.train.protocol import THREADS, Digits, Measurement, Stopwatch, pair_accuracy

_CLASSES_PER_BATCH, _EXAMPLES_PER_CLASS = 8, 4


def run(folder: Path, limit_s: float, loss: str) -> Measurement:
    """Train for ``limit_s`` seconds with the named loss, with an evaluation after each epoch."""
    start = time.perf_counter()
    import torch
    from pytorch_metric_learning import losses, samplers
    from torch import nn

    result = Measurement(imports=time.perf_counter() - start)
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    np.random.seed(0)  # used by the sampler
    digits = Digits.read(folder)

    start = time.perf_counter()
    widths = [1, 16, 32, 64]
    convolutions: list[nn.Module] = []
    for width_in, width_out in itertools.pairwise(widths):
        convolutions += [nn.Conv2d(width_in, width_out, 3, padding="same"), nn.ReLU()]
        convolutions += [nn.MaxPool2d(2, ceil_mode=True)]
    encoder = nn.Sequential(
        *convolutions[:-1],  # the last map, 7 x 7, is not pooled
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
    )
    loss_function = getattr(losses, loss)()  # normalizes the embeddings
    optimizer = torch.optim.Adam(encoder.parameters())
    x = torch.from_numpy(digits.train_x[:, None].astype(np.float32) / 255)
    held = torch.from_numpy(digits.held_x[:, None].astype(np.float32) / 255)
    batch_size = _CLASSES_PER_BATCH * _EXAMPLES_PER_CLASS
    sampler = samplers.MPerClassSampler(digits.train_y, _EXAMPLES_PER_CLASS, batch_size, len(x))
    data = torch.utils.data.TensorDataset(x, torch.from_numpy(digits.train_y))
    loader = torch.utils.data.DataLoader(data, batch_size, sampler=sampler, drop_last=True)

    training_time, input_time = Stopwatch(), Stopwatch()
    while training_time.seconds < limit_s:
        training_time.start()
        input_time.start()
        for images, labels in loader:
            input_time.stop()
            value = loss_function(encoder(images), labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if result.set_up:
                result.examples += len(images)
            else:  # the first step
                result.set_up = time.perf_counter() - start
                training_time.start()
                input_time.seconds = 0.0
            input_time.start()
        result.training = training_time.stop()
        with torch.no_grad():
            embedding = nn.functional.normalize(encoder(held)).numpy()
        distance = np.linalg.norm(embedding[digits.left] - embedding[digits.right], axis=1)
        result.curve.append((result.training, pair_accuracy(distance, digits.same)))
    result.input = input_time.seconds
    result.pairs = result.examples * (batch_size - 1) // 2
    return result
