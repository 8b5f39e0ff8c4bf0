from spack_repo.builtin.build_systems.cmake import CMakePackage
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *


class Flashring(CMakePackage, CudaPackage):
    """Kernel matrices of large point sets as PETSc matrices that are never stored, and diffusion maps."""

    # No release and no public address yet: build from a checkout with `spack develop` (see spack.yaml at its top).
    homepage = "https://flashring.invalid"
    git = "https://flashring.invalid/flashring.git"

    license("BSD-2-Clause", checked_by="flashring")
    test_requires_compiler = True

    version("main", branch="main")

    variant("cuda", default=False, description="Backends for NVIDIA GPUs of compute capability 8.0 and later")
    variant("nccl", default=False, when="+cuda", description="Blocks move between GPUs by NCCL")
    variant("tests", default=False, description="Build the tests")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("petsc@3.18:+mpi+double~complex+shared")
    depends_on("slepc@3.18:")
    depends_on("highway@1.0:")
    depends_on("lapack")
    depends_on("hdf5")
    depends_on("fast-float")
    depends_on("fmt")
    depends_on("nlohmann-json")
    depends_on("gnuplot", type="run")
    depends_on("googletest@1.12:+gmock", type=("build", "link"), when="+tests")
    depends_on("python", type="build", when="+tests")
    depends_on("cuda@12.8:", when="+cuda")
    depends_on("nccl@2.19:", when="+nccl")

    conflicts("cuda_arch=none", when="+cuda", msg="name the GPU: cuda_arch=80 for A100, cuda_arch=90 for H100")
    conflicts("%gcc@:11", msg="C++20 needs g++ 12 or later")

    def cmake_args(self):
        args = [
            self.define_from_variant("FLASHRING_WITH_CUDA", "cuda"),
            self.define_from_variant("FLASHRING_WITH_NCCL", "nccl"),
            self.define_from_variant("FLASHRING_WITH_TESTS", "tests"),
            self.define("PETSC_DIR", self.spec["petsc"].prefix),
            self.define("SLEPC_DIR", self.spec["slepc"].prefix),
        ]
        if self.spec.satisfies("+cuda"):
            args.append(self.define("CMAKE_CUDA_ARCHITECTURES", list(self.spec.variants["cuda_arch"].value)))
        return args

    def setup_run_environment(self, env: EnvironmentModifications) -> None:
        env.set("FLASHRING_ROOT", self.prefix)

    def test_version(self):
        """the installed program says its version"""
        program = which(self.prefix.bin.join("flashring-diffmap"), required=True)
        out = program("-version", output=str.split, error=str.split)
        assert "flashring" in out and "PETSc" in out

    def test_circle(self):
        """eigenvalues of a small exact set"""
        program = which(self.prefix.bin.join("flashring-diffmap"), required=True)
        options = ["-generate", "circle:n=64", "-beta", "2", "-nev", "3", "-output", "circle"]
        out = program(*options, output=str.split, error=str.split)
        assert "0.86352261102" in out  # I_1(4) / I_0(4), modified Bessel functions
