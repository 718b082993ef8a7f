//! Errors of the library as Python's: `OSError` for files, `ValueError` for all else, with the library's text.

use std::io::{self, ErrorKind};

use pyo3::PyErr;
use pyo3::exceptions::PyValueError;
use spiccato::Error;

pub(crate) fn to_python(error: Error) -> PyErr {
    let kind = match &error {
        Error::Io { source, .. } | Error::Stream(source) => source.kind(),
        Error::Exists { .. } => ErrorKind::AlreadyExists,
        _ => return PyValueError::new_err(error.to_string()),
    };
    // Python has a class for some kinds: FileNotFoundError, PermissionError, …
    io::Error::new(kind, error.to_string()).into()
}
