//! Long work without the interpreter's lock, which Ctrl-C ends all the same.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::ops::ControlFlow;

use pyo3::prelude::*;
use spiccato::{Error, Result};

use crate::error::to_python;

/// What the handlers of signals have raised during work of one thread.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    raised: RefCell<Option<PyErr>>,
}

impl Signals {
    /// Lets Python handle the signals that have come in. Only in its main thread it does.
    pub(crate) fn check(&self) -> ControlFlow<()> {
        match Python::attach(|py| py.check_signals()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                *self.raised.borrow_mut() = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Like [`Signals::check`], for work that ends by an error.
    pub(crate) fn interrupt(&self) -> Result<()> {
        match self.check() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(std::io::Error::from(ErrorKind::Interrupted).into()),
        }
    }
}

/// Does `work` while other threads of Python go on. What a handler of a signal raised takes the place of its result.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce(&Signals) -> Result<T> + Send) -> PyResult<T> {
    let (result, raised): (std::result::Result<T, Error>, Option<PyErr>) = py.detach(|| {
        let signals = Signals::default();
        let result = work(&signals);
        (result, signals.raised.into_inner())
    });
    match raised {
        Some(error) => Err(error),
        None => result.map_err(to_python),
    }
}
