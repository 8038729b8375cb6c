//! The MPI library that `MPI4PY_LIBMPI` names for the ranks: whether this mpiexec makes a job of them.

use std::path::{Path, PathBuf};

const SONAME: &str = "libmpi_abi.so.1";
/// What every build of our library exports, and no other one does, as it stands in the table of names.
const MARK: &[u8] = b"\0OXMPI_Set_wait_hooks\0";
/// Our library has some megabytes; what is longer is none, and is not read.
const LONGEST: u64 = 256 << 20;

/// Whether it is a build of our own: read, not loaded. `name` is the variable's value, as a rank in `dir` sees it.
pub(super) fn is_ours(name: &Path, dir: &Path) -> bool {
    let path = dir.join(name);
    let file: Option<PathBuf> = if path.is_dir() {
        [path.join(SONAME), path.join("lib").join(SONAME)].into_iter().find(|file| file.is_file())
    } else {
        Some(path)
    };
    let is_library = |file: &PathBuf| file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= LONGEST);
    let content = file.filter(is_library).and_then(|file| std::fs::read(file).ok());
    content.is_some_and(|bytes| bytes.windows(MARK.len()).any(|window| window == MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_by_what_it_exports_wherever_it_lies() {
        let folder = std::env::temp_dir().join(format!("oxmpi-library-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("lib")).expect("a folder");
        let ours = folder.join("lib").join(SONAME);
        std::fs::write(&ours, [b"\x7fELF", MARK, b"MPI_Init\0"].concat()).expect("a file");
        let other = folder.join("other.so");
        std::fs::write(&other, b"\x7fELF\0MPI_Init\0OXMPI_Set\0").expect("a file");
        let found = |name: &str, dir: &Path| is_ours(Path::new(name), dir);
        let root = Path::new("/");
        let all = [
            is_ours(&ours, root),
            is_ours(&folder, root),
            found("lib/libmpi_abi.so.1", &folder),
            is_ours(&other, root),
            found("mpich", &folder),
            found("/dev/zero", root),
        ];
        std::fs::remove_dir_all(&folder).expect("ours");
        assert_eq!(all, [true, true, true, false, false, false]);
    }
}
