//! C interface of the Spiccato audio codec: open a model, encode, decode, free, and the text of the last error.
//!
//! The header `include/spiccato.h` is written by cbindgen from this file. What C passes is checked as far as it can be:
//! pointers for null and alignment, lengths for overflow, models for being open. A panic ends at the border, as an
//! error.
#![allow(unsafe_code)] // C's pointers; the reasons are beside each use

mod objects;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::slice;

use spiccato::{Decoder, Encoder, Format, Model};

/// An open model. Any number of threads may use one at once.
#[derive(Debug)]
pub struct SpiccatoModel {
    _opaque: (),
}

/// What interleaved samples mean.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpiccatoFormat {
    /// Samples per channel.
    pub frames: u64,
    /// Frames in a second, from 8000 to 192000.
    pub rate: u32,
    /// 1, or 2 for left and right.
    pub channels: u16,
}

thread_local! {
    static ERROR: RefCell<CString> = RefCell::default();
}

/// Opens a model file, or the built-in model where `path` is null.
///
/// Returns null on failure. `spiccato_free` closes the model.
///
/// # Safety
/// `path` is null or a string that ends with a zero byte: UTF-8, or any bytes on Unix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spiccato_open(path: *const c_char) -> *mut SpiccatoModel {
    guarded(|| {
        let model = if path.is_null() {
            Model::built_in()
        } else {
            // SAFETY: not null, and the caller promises that a zero byte ends it.
            let path = path_of(unsafe { CStr::from_ptr(path) })?;
            Model::from_file(path)
        };
        Ok(objects::keep_model(model.map_err(|error| error.to_string())?).cast())
    })
}

/// Compresses interleaved samples with full scale from -1 to 1 to the content of a `.spic` file, at a bitrate of the
/// whole file in kilobits per second.
///
/// Returns the bytes and their number in `size`; null on failure. `spiccato_free` frees them.
///
/// # Safety
/// `samples` are `frames * channels` numbers; `format` and `size` point to a value each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spiccato_encode(
    model: *const SpiccatoModel,
    samples: *const f32,
    format: *const SpiccatoFormat,
    bitrate: f64,
    size: *mut usize,
) -> *mut u8 {
    guarded(|| {
        let model = open_model(model)?;
        // SAFETY: checked for null and alignment, and the caller promises a value.
        let format = *unsafe { format.as_ref() }.filter(|_| format.is_aligned()).ok_or("format is no valid pointer")?;
        let count = format.frames.checked_mul(format.channels.into()).and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or("more samples than memory can hold")?;
        // SAFETY: `elements` checks the pointer, and the caller promises that many samples.
        let samples = unsafe { elements("samples", samples, count) }?;
        let size = writable("size", size)?;
        let encoder = Encoder::new(&model).bitrate(bitrate).map_err(|error| error.to_string())?;
        let format = Format { rate: format.rate, channels: format.channels };
        let file = encoder.encode(samples, format).map_err(|error| error.to_string())?;
        // SAFETY: checked for null and alignment, and the caller promises room for a value.
        unsafe { size.write(file.len()) };
        Ok(objects::keep_file(file))
    })
}

/// Decompresses the content of a `.spic` file.
///
/// Returns interleaved samples and in `format` what they mean; null on failure. `spiccato_free` frees them.
///
/// # Safety
/// `file` has `size` bytes; `format` points to a value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spiccato_decode(
    model: *const SpiccatoModel,
    file: *const u8,
    size: usize,
    format: *mut SpiccatoFormat,
) -> *mut f32 {
    guarded(|| {
        let model = open_model(model)?;
        // SAFETY: `elements` checks the pointer, and the caller promises that many bytes.
        let file = unsafe { elements("file", file, size) }?;
        let format = writable("format", format)?;
        let audio = Decoder::new(&model).decode(file).map_err(|error| error.to_string())?;
        let Format { rate, channels } = audio.format;
        // SAFETY: checked for null and alignment, and the caller promises room for a value.
        unsafe { format.write(SpiccatoFormat { frames: audio.frames(), rate, channels }) };
        Ok(objects::keep_samples(audio.samples))
    })
}

/// Closes a model, or frees bytes or samples, that one of the functions returned.
///
/// Null, and what has been freed before, is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn spiccato_free(object: *mut c_void) {
    objects::give_back(object.addr());
}

/// Why the last function that failed in this thread did so, in UTF-8.
///
/// The string is empty if none did. It stays valid until another function fails in this thread, or the thread ends.
#[unsafe(no_mangle)]
pub extern "C" fn spiccato_error() -> *const c_char {
    ERROR.with_borrow(|error| error.as_ptr())
}

/// Calls `work`; where it fails, or panics, notes the text and returns null.
fn guarded<T>(work: impl FnOnce() -> Result<*mut T, String>) -> *mut T {
    let text = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(pointer)) => return pointer,
        Ok(Err(text)) => text,
        Err(_) => "a defect of the library: please report what was called".to_owned(),
    };
    ERROR.set(CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default());
    null_mut()
}

fn open_model(model: *const SpiccatoModel) -> Result<Model, String> {
    objects::model(model.addr()).ok_or_else(|| "model is none that is open".to_owned())
}

/// A pointer that a value can be written to, if it is valid at all.
fn writable<T>(name: &str, pointer: *mut T) -> Result<*mut T, String> {
    match pointer.is_null() || !pointer.is_aligned() {
        true => Err(format!("{name} is no valid pointer")),
        false => Ok(pointer),
    }
}

/// The elements that a pointer points to; it may be null for none.
///
/// # Safety
/// `pointer` is null or points to `count` elements that nobody changes for the time of `'a`.
unsafe fn elements<'a, T>(name: &str, pointer: *const T, count: usize) -> Result<&'a [T], String> {
    if count == 0 {
        return Ok(&[]);
    }
    let bytes = count.checked_mul(size_of::<T>()).filter(|&bytes| isize::try_from(bytes).is_ok());
    if pointer.is_null() || !pointer.is_aligned() || bytes.is_none() {
        return Err(format!("{name} is no valid pointer to {count} elements"));
    }
    // SAFETY: not null, aligned and of a possible size; the caller promises the elements.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

#[cfg(unix)]
fn path_of(path: &CStr) -> Result<PathBuf, String> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    Ok(OsStr::from_bytes(path.to_bytes()).into())
}

#[cfg(not(unix))]
fn path_of(path: &CStr) -> Result<PathBuf, String> {
    path.to_str().map(Into::into).map_err(|_| "the path is not in UTF-8".to_owned())
}
