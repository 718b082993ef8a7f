//! The processes that this one was started with.

use anyhow::Result;

use crate::processes::Processes;

/// The processes that this one was started with: by `mpirun`, in a build with the feature `mpi`; otherwise it is alone.
///
/// # Errors
/// If MPI can't be used, or this is called twice.
pub fn processes() -> Result<Box<dyn Processes>> {
    #[cfg(feature = "mpi")]
    let processes = crate::mpi::Mpi::start()?;
    #[cfg(not(feature = "mpi"))]
    let processes = crate::processes::Alone;
    Ok(Box::new(processes))
}
