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


def in_torch(arrays, dtype, mask, grouped):
    """The same by PyTorch in `dtype`."""
    q, k, v, g = (torch.tensor(a, dtype=torch.float64).to(dtype) for a in arrays.values())
    for tensor in (q, k, v):
        tensor.requires_grad_(True)
    o = scaled_dot_product_attention(q, k, v, attn_mask=torch.tensor(mask), enable_gqa=grouped)
    o.backward(g)
    return {name: t.detach().double().numpy() for name, t in zip(("o", "dq", "dk", "dv"), (o, q.grad, k.grad, v.grad))}


def test_attention(dtype, ranks, heads, key_heads, lengths, causal, width=17, value_width=9, tokens=61):
    """Errors (root mean square) against fp64 are at most twice those of PyTorch in the same type, and a rounding to it."""
    random = np.random.default_rng(7)
    shapes = {"q": (heads, width), "k": (key_heads, width), "v": (key_heads, value_width), "do": (heads, value_width)}
    arrays = {name: random.standard_normal((2, h, tokens, w)) for name, (h, w) in shapes.items()}
    arrays = {name: torch.tensor(a).to(dtype).double().numpy() for name, a in arrays.items()}
    seen = np.arange(tokens)[None, :] < np.array(lengths)[:, None]
    mask = np.broadcast_to(seen[:, None, None, :], (2, 1, tokens, tokens))
    if causal:
        mask = mask & np.tri(tokens, dtype=bool)
    stored = {name: torch.tensor(a).to(dtype) for name, a in arrays.items()}
    words = dtype == torch.bfloat16
    stored = {name: (t.view(torch.int16) if words else t).numpy() for name, t in stored.items()}
    arguments = ["-lengths", ",".join(map(str, lengths))] + ["-causal"] * causal + ["-bf16"] * words
    found = run(ranks, stored, *arguments)
    exact = in_torch(arrays, torch.float64, mask, heads != key_heads)
    plain = in_torch(arrays, dtype, mask, heads != key_heads)
    for name, values in exact.items():
        largest = np.abs(values).max()
        # fp64 has no better one beside it: sums of up to 2 x 61 terms, 20 roundings each.
        allowed = 2440 * 1.2e-16 * largest if dtype == torch.float64 else 2 * rms(plain[name] - values)
        allowed += torch.finfo(dtype).eps / 2 * largest
        error = rms(found[name] - values)
        assert error <= allowed, f"{dtype} {ranks} ranks {name}: {error} > {allowed}"


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


def test_fused_entmax(op, alpha, function, tokens=50):
    """O = P V with weights by the package, scores stored there; grouped heads and a causal mask."""
    random = np.random.default_rng(11)
    shapes = {"q": (4, 8), "k": (2, 8), "v": (2, 5), "do": (4, 5)}
    arrays = {name: random.standard_normal((2, h, tokens, w)) for name, (h, w) in shapes.items()}
    q, k, v, g = (torch.tensor(a, requires_grad=True) for a in arrays.values())
    scores = q @ k.repeat_interleave(2, 1).transpose(-1, -2) / 8 ** 0.5
    hidden = ~torch.tensor(np.tri(tokens, dtype=bool))
    o = function(scores.masked_fill(hidden, -1e9)) @ v.repeat_interleave(2, 1)
    o.backward(g.detach())
    found = run(3, arrays, "-op", op, "-causal", *(["-alpha", alpha] if alpha else []))
    # As above; then sums of up to 2 x 50 terms below 20.
    for name, values in {"o": o, "dq": q.grad, "dk": k.grad, "dv": v.grad}.items():
        error = np.abs(found[name] - values.detach().numpy()).max()
        assert error < 1e-11, f"{op} {name}: {error}"


for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
    test_attention(dtype, 1, 4, 4, (61, 61), False)
    test_attention(dtype, 2, 4, 2, (61, 40), True)
test_attention(torch.float64, 3, 6, 2, (50, 61), False)
if entmax is not None:
    test_entmax("sparsemax", "", entmax.sparsemax)
    test_fused_entmax("sparsemax", "", entmax.sparsemax)
    test_fused_entmax("entmax", "1.5", entmax.entmax15)
    test_entmax("entmax", "1.5", entmax.entmax15)
    test_entmax("entmax", "1.25", lambda x: entmax.entmax_bisect(x, alpha=1.25))
print("test_attention.py: all agree" + ("" if entmax else " (without entmax)"))
