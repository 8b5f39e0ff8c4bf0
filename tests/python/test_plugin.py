#!/usr/bin/env python3
"""The plugin from Python: petsc4py and slepc4py as they come, -dll_append, and nothing written for them.

usage: mpirun -n 2 test_plugin.py -dll_append /path/libflashring.so
Exit code 77: the modules are not there, so nothing was tested.
"""
import ctypes
import sys

try:
    import numpy as np
    import petsc4py
    import slepc4py

    slepc4py.init(sys.argv)
    from petsc4py import PETSc
    from slepc4py import SLEPc
except ImportError as error:
    print(f"test_plugin.py: Skipped\n{error} (Debian: python3-petsc4py-real3.18 python3-slepc4py-real3.18)")
    sys.exit(77)

PLUGIN = sys.argv[sys.argv.index("-dll_append") + 1]
N = 96
BETA = 2.0
COMM = PETSc.COMM_WORLD


def circle(form):
    """A matrix of type flashring; its points come by options only."""
    options = PETSc.Options()
    options["mat_flashring_generate"] = f"circle:n={N}"
    options["mat_flashring_beta"] = BETA
    options["mat_flashring_form"] = form
    matrix = PETSc.Mat().create(COMM)
    matrix.setType("flashring")
    matrix.setFromOptions()
    matrix.setUp()
    matrix.assemble()
    return matrix


def dense_kernel():
    """exp(-beta |x_i - x_j|^2) of the regular N-gon on the unit circle, all rows."""
    angles = 2 * np.pi * np.arange(N) / N
    return np.exp(-4 * BETA * np.sin((angles[:, None] - angles[None, :]) / 2) ** 2)


def counters(matrix):
    """(calls, passes, columns times passes) so far, by the C interface of the library."""
    values = [ctypes.c_int64() for _ in range(3)]
    get = ctypes.CDLL(PLUGIN).MatFlashringGetCounters
    assert get(ctypes.c_void_p(matrix.handle), *map(ctypes.byref, values)) == 0
    return tuple(value.value for value in values)


def test_product_with_a_vector():
    matrix, reference = circle("kernel"), dense_kernel()
    assert matrix.getType() == "flashring" and matrix.getSize() == (N, N)
    first, last = matrix.getOwnershipRange()
    values = np.random.default_rng(1).standard_normal(N)
    x, y = matrix.createVecs()
    x.setArray(values[first:last])
    matrix.mult(x, y)
    # Sums of N terms, in another order than NumPy's.
    bound = 4 * N * np.finfo(float).eps * (reference @ np.abs(values))[first:last]
    assert np.all(np.abs(y.getArray() - (reference @ values)[first:last]) <= bound)


def test_product_with_a_block():
    matrix = circle("kernel")
    first, last = matrix.getOwnershipRange()
    columns = 5
    values = np.random.default_rng(2).standard_normal((N, columns))
    # Sizes are (local, global), rows then columns.
    block = PETSc.Mat().createDense(((last - first, N), (None, columns)), comm=COMM)
    block.setUp()
    block.getDenseArray()[:, :] = values[first:last]
    block.assemble()
    before = counters(matrix)
    product = matrix.matMult(block)
    after = counters(matrix)
    assert after[0] - before[0] == 1, f"a block of {columns} columns took {after[0] - before[0]} calls"
    assert after[2] - before[2] == columns
    x, y = matrix.createVecs()
    for column in range(columns):
        x.setArray(values[first:last, column])
        matrix.mult(x, y)
        assert np.allclose(product.getDenseArray()[:, column], y.getArray(), rtol=1e-13, atol=1e-13)


def test_exact_spectrum_of_the_circle():
    row = dense_kernel()[0]
    exact = np.sort(np.fft.fft(row).real / row.sum())[::-1]  # 1, then pairs of equal values
    solver = SLEPc.EPS().create(COMM)
    solver.setOperators(circle("symmetric"))
    solver.setProblemType(SLEPc.EPS.ProblemType.HEP)
    solver.setType("subspace")  # a block: single-vector solvers do not see multiplicities
    solver.setWhichEigenpairs(SLEPc.EPS.Which.LARGEST_MAGNITUDE)
    solver.setDimensions(nev=7, ncv=20)
    solver.setTolerances(tol=1e-12)
    solver.setFromOptions()
    solver.solve()
    assert solver.getConverged() >= 7, solver.getConvergedReason()
    found = np.array([solver.getEigenvalue(k).real for k in range(7)])
    assert np.max(np.abs(found - exact[:7])) < 1e-11, (found, exact[:7])


def main():
    tests = [value for name, value in sorted(globals().items()) if name.startswith("test_")]
    for test in tests:
        test()
        PETSc.Sys.Print(f"{test.__name__}: passed")
    PETSc.Sys.Print(f"{len(tests)} tests passed")


main()
