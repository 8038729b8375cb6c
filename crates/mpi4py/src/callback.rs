//! Python functions that MPI calls.
use pyo3::prelude::*;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_set_uncaught, module)?)
}

/// _set_uncaught() -> None
///
/// Tell the launcher that the process ends because of an exception; the package calls it.
#[pyfunction]
fn _set_uncaught() {
    let symbol = crate::call::find(c"OXMPI_Set_uncaught");
    if !symbol.is_null() {
        // SAFETY: a symbol of this name has this type: the engine documents it.
        let set: extern "C" fn() = unsafe { std::mem::transmute(symbol) };
        set();
    }
}
