//! The compiled part of the Python package `spiccato`: it takes flat arrays and bytes. `spiccato/__init__.py` gives
//! them their shapes and the documentation for users.

mod error;
mod metrics;
mod model;
mod signals;

use std::path::PathBuf;

use pyo3::prelude::*;
use spiccato::Error;
use spiccato::atomic_file::{AtomicFile, Existing};
use std::io::Write;

/// Writes a file that appears only when it is complete.
#[pyfunction]
fn write_file(py: Python<'_>, path: PathBuf, content: &[u8], replace: bool) -> PyResult<()> {
    let existing = if replace { Existing::Replace } else { Existing::Refuse };
    let write = || {
        let mut file = AtomicFile::create(&path, existing)?;
        file.write_all(content).map_err(Error::io(&path))?;
        file.commit()
    };
    py.detach(write).map_err(error::to_python)
}

#[pymodule]
fn _spiccato(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<model::Model>()?;
    module.add_function(wrap_pyfunction!(write_file, module)?)?;
    module.add_function(wrap_pyfunction!(metrics::log_mel, module)?)?;
    module.add_function(wrap_pyfunction!(metrics::visqol, module)?)?;
    module.add_function(wrap_pyfunction!(metrics::all, module)?)
}
