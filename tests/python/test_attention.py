#!/usr/bin/env python3
"""flashring-attention against PyTorch and the package entmax, which share no code with it: forward and backward.

usage: test_attention.py MPIEXEC PROGRAM
Exit code 77: PyTorch is not there, so nothing was tested; without entmax its cases are left out.
"""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from torch.nn.functional import scaled_dot_product_attention
except ImportError as error:
    print(f"test_attention.py: Skipped\n{error} (pip install torch entmax)")
    sys.exit(77)
try:
    import entmax
except ImportError:
    entmax = None

MPIEXEC, PROGRAM = sys.argv[1:]
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="flashring-attention-"))


def run(ranks, arrays, *arguments):
    """Results of the program by name, as float64; `arrays`: values of options by name."""
    files = []
    for name, values in arrays.items():
        np.save(FOLDER / f"{name}.npy", values)
        files += [f"-{name}", FOLDER / f"{name}.npy"]
    command = [MPIEXEC, "-n", ranks, PROGRAM, *files, "-backward", "-overwrite", "-output", FOLDER / "out", *arguments]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = {}
    for path in (FOLDER / "out").glob("*.npy"):
        values = np.load(path)
        results[path.stem] = bfloat16(values) if values.dtype.kind == "V" else values.astype("f8")
    return results


def bfloat16(values):
    """bfloat16 as NumPy reads it, two bytes without a meaning, to float64."""
    return (values.view("u2").astype("u4") << 16).view("f4").astype("f8")


def rms(values):
    return np.sqrt(np.mean(values ** 2))


def rounded(arrays, dtype):
    return {name: torch.tensor(a).to(dtype).double().numpy() for name, a in arrays.items()}


def stored(arrays, dtype):
    """As the program reads them; bfloat16 as words of two bytes."""
    tensors = {name: torch.tensor(a).to(dtype) for name, a in arrays.items()}
    return {name: (t.view(torch.int16) if dtype == torch.bfloat16 else t).numpy() for name, t in tensors.items()}


def compare(found, exact, plain, dtype, largest_fp64, what):
    """Errors (root mean square) against fp64 are at most twice those of PyTorch in the same type, and a rounding to it.
    fp64 has no better one beside it: `largest_fp64`, relative."""
    for name, values in exact.items():
        largest = np.abs(values).max()
        allowed = largest_fp64 * largest if dtype == torch.float64 else 2 * rms(plain[name] - values)
        allowed += torch.finfo(dtype).eps / 2 * largest
        error = rms(found[name] - values)
        assert error <= allowed, f"{what} {dtype} {name}: {error} > {allowed}"


def in_torch(arrays, dtype, mask, grouped):
    """The same by PyTorch in `dtype`."""
    q, k, v, g = (torch.tensor(a, dtype=torch.float64).to(dtype) for a in arrays.values())
    for tensor in (q, k, v):
        tensor.requires_grad_(True)
    o = scaled_dot_product_attention(q, k, v, attn_mask=torch.tensor(mask), enable_gqa=grouped)
    o.backward(g)
    return {name: t.detach().double().numpy() for name, t in zip(("o", "dq", "dk", "dv"), (o, q.grad, k.grad, v.grad))}


def test_attention(dtype, ranks, heads, key_heads, lengths, causal, width=17, value_width=9, tokens=61):
    random = np.random.default_rng(7)
    shapes = {"q": (heads, width), "k": (key_heads, width), "v": (key_heads, value_width), "do": (heads, value_width)}
    arrays = {name: random.standard_normal((2, h, tokens, w)) for name, (h, w) in shapes.items()}
    arrays = rounded(arrays, dtype)
    seen = np.arange(tokens)[None, :] < np.array(lengths)[:, None]
    mask = np.broadcast_to(seen[:, None, None, :], (2, 1, tokens, tokens))
    if causal:
        mask = mask & np.tri(tokens, dtype=bool)
    words = dtype == torch.bfloat16
    arguments = ["-lengths", ",".join(map(str, lengths))] + ["-causal"] * causal + ["-bf16"] * words
    found = run(ranks, stored(arrays, dtype), *arguments)
    exact = in_torch(arrays, torch.float64, mask, heads != key_heads)
    plain = in_torch(arrays, dtype, mask, heads != key_heads)
    # Sums of up to 2 x 61 terms, 20 roundings each.
    compare(found, exact, plain, dtype, 2440 * 1.2e-16, f"softmax {ranks} ranks")


def test_entmax(op, alpha, function, tokens=50):
    random = np.random.default_rng(9)
    x, g = random.standard_normal((2, 4, 30, tokens)) * 2, random.standard_normal((2, 4, 30, tokens))
    scores = torch.tensor(x, requires_grad=True)
    p = function(scores)
    p.backward(torch.tensor(g))
    found = run(2, {"scores": x, "do": g}, "-op", op, *(["-alpha", alpha] if alpha else []))
    # The package's bisection ends at 2^-50 of its bracket; a power e = 1/(a - 1) <= 4 of it, and 50 roundings.
    assert np.abs(found["o"] - p.detach().numpy()).max() < 1e-13, op
    assert np.abs(found["dx"] - scores.grad.numpy()).max() < 1e-12, op


def fused_in_torch(arrays, dtype, function):
    """O = P V with weights by the package, scores stored there; grouped heads and a causal mask. Of scores in 16 bits it
    gets fp32 and its weights are rounded, which errs less than its own work in 16 bits."""
    q, k, v, g = (torch.tensor(a).to(dtype) for a in arrays.values())
    for tensor in (q, k, v):
        tensor.requires_grad_(True)
    scores = q @ k.repeat_interleave(2, 1).transpose(-1, -2) / 8 ** 0.5
    hidden = ~torch.tensor(np.tri(scores.shape[-1], dtype=bool))
    wide = dtype if dtype == torch.float64 else torch.float32
    o = function(scores.to(wide).masked_fill(hidden, -1e9)).to(dtype) @ v.repeat_interleave(2, 1)
    o.backward(g)
    return {name: t.detach().double().numpy() for name, t in zip(("o", "dq", "dk", "dv"), (o, q.grad, k.grad, v.grad))}


def test_fused_entmax(dtype, op, alpha, function, tokens=50):
    random = np.random.default_rng(11)
    shapes = {"q": (4, 8), "k": (2, 8), "v": (2, 5), "do": (4, 5)}
    arrays = {name: random.standard_normal((2, h, tokens, w)) for name, (h, w) in shapes.items()}
    arrays = rounded(arrays, dtype)
    arguments = ["-op", op, "-causal"] + ["-alpha", alpha] * bool(alpha) + ["-bf16"] * (dtype == torch.bfloat16)
    found = run(3, stored(arrays, dtype), *arguments)
    exact = fused_in_torch(arrays, torch.float64, function)
    # As above, 1e-12; then sums of up to 2 x 50 terms, 20 roundings each.
    compare(found, exact, fused_in_torch(arrays, dtype, function), dtype, 1e-12 + 2000 * 1.2e-16, f"{op} {alpha}")


for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
    test_attention(dtype, 1, 4, 4, (61, 61), False)
    test_attention(dtype, 2, 4, 2, (61, 40), True)
    if entmax is not None:
        test_fused_entmax(dtype, "sparsemax", "", entmax.sparsemax)
        test_fused_entmax(dtype, "entmax", "1.5", entmax.entmax15)
test_attention(torch.float64, 3, 6, 2, (50, 61), False)
if entmax is not None:
    test_entmax("sparsemax", "", entmax.sparsemax)
    test_entmax("entmax", "1.5", entmax.entmax15)
    test_entmax("entmax", "1.25", lambda x: entmax.entmax_bisect(x, alpha=1.25))
print("test_attention.py: all agree" + ("" if entmax else " (without entmax)"))
