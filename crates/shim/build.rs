//! Makes the shared library what programs of the standard ABI expect.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for option in [
        // The name that programs and the extension ask the dynamic linker for.
        "-soname,libmpi_abi.so.1",
        // A call from one of our functions to another stays inside, so that MPI_X and PMPI_X reach
        // the implementation even when a profiling library has taken the name MPI_X.
        "-Bsymbolic-functions",
        // Threads and handlers of ours may outlive a dlclose.
        "-z,nodelete",
    ] {
        println!("cargo::rustc-link-arg-cdylib=-Wl,{option}");
    }
}
