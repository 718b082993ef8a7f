//! The codec as functions that a web page calls, without any tool between: numbers go in and out, and bytes through
//! memory that both sides see.
//!
//! A page writes bytes to the address that [`input`] gives and calls the function that takes them. Functions answer
//! with a number, negative for an error; what else they have to give lies at [`output`]: [`output_size`] bytes of
//! samples, events, a file, or text in UTF-8 (JSON, or what went wrong). One instance serves one file at a time;
//! `page/worker.js` calls it.
#![allow(unsafe_code)] // for the attribute that names the exports; there is no unsafe block

use std::cell::RefCell;
use std::io::Cursor;

use spiccato::container::{OnDamage, Reader};
use spiccato::events::Methods;
use spiccato::{DecodedStream, Decoder, Encoder, Error, FileFacts, Format, Model, Result};

/// The bytes of a `.spic` file.
type File = Cursor<Vec<u8>>;

/// What lives from one call to the next.
#[derive(Debug, Default)]
struct State {
    input: Vec<u8>,
    output: Vec<u8>,
    model: Option<Model>,
    file: Option<OpenFile>,
}

/// A file under way: its sound and its events, each read from front to back.
#[derive(Debug)]
struct OpenFile {
    /// Or why there is none: events can be shown without the model that sounds need.
    sound: std::result::Result<DecodedStream<File>, String>,
    events: Reader<File>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Calls `work`, whose error becomes the output and a negative answer.
fn answer(work: impl FnOnce(&mut State) -> Result<i32>) -> i32 {
    STATE.with_borrow_mut(|state| {
        work(state).unwrap_or_else(|error| {
            state.output = error.to_string().into_bytes();
            -1
        })
    })
}

impl State {
    fn model(&self) -> Result<&Model> {
        self.model.as_ref().ok_or_else(|| Error::Usage("no model is open".to_owned()))
    }

    fn file(&mut self) -> Result<&mut OpenFile> {
        self.file.as_mut().ok_or_else(|| Error::Usage("no file is open".to_owned()))
    }
}

/// Makes room for `size` bytes, which the next function takes, and gives their address.
#[unsafe(no_mangle)]
pub extern "C" fn input(size: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.input = vec![0; size];
        state.input.as_mut_ptr()
    })
}

/// The address of what the last function gave.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    STATE.with_borrow(|state| state.output.as_ptr())
}

/// The number of its bytes.
#[unsafe(no_mangle)]
pub extern "C" fn output_size() -> usize {
    STATE.with_borrow(|state| state.output.len())
}

/// Opens the model file that is the input. The output is its identifier.
#[unsafe(no_mangle)]
pub extern "C" fn open_model() -> i32 {
    answer(|state| {
        let model = Model::from_bytes(&std::mem::take(&mut state.input))?;
        state.output = model.id().to_string().into_bytes();
        (state.model, state.file) = (Some(model), None);
        Ok(0)
    })
}

/// The facts of the `.spic` file that is the input, as JSON, whether or not the model fits.
#[unsafe(no_mangle)]
pub extern "C" fn info() -> i32 {
    answer(|state| {
        let file = Cursor::new(std::mem::take(&mut state.input));
        let facts = FileFacts::read(file, state.model()?)?;
        state.output = serde_json::to_vec(&facts).map_err(|error| Error::Usage(error.to_string()))?;
        Ok(0)
    })
}

/// Opens the `.spic` file that is the input, to be decoded from front to back; damage becomes silence. A file of
/// another model has no sound, but may have events.
#[unsafe(no_mangle)]
pub extern "C" fn open_file() -> i32 {
    answer(|state| {
        let (file, model) = (std::mem::take(&mut state.input), state.model()?);
        let sound = Decoder::new(model).on_damage(OnDamage::Skip).stream_with_index(Cursor::new(file.clone()));
        let mut events = Reader::with_index(Cursor::new(file), Methods::all(), OnDamage::Skip)?;
        events.set_methods(model.complete(Methods::all(), events.header().quality));
        state.file = Some(OpenFile { sound: sound.map_err(|error| error.to_string()), events });
        Ok(0)
    })
}

/// Decodes a block: the answer is the number of its frames, 0 after the last block, and the output are the interleaved
/// samples, 32-bit floating-point numbers.
#[unsafe(no_mangle)]
pub extern "C" fn next_block() -> i32 {
    answer(|state| {
        let sound = state.file()?.sound.as_mut().map_err(|reason| Error::Usage(reason.clone()))?;
        let channels = usize::from(sound.format().channels);
        let mut bytes = Vec::new();
        let block = sound.next_block()?.unwrap_or_default();
        bytes.extend(block.iter().flat_map(|sample| sample.to_le_bytes()));
        let frames = block.len() / channels;
        state.output = bytes;
        Ok(frames as i32)
    })
}

/// Reads the events of the next chunk: the answer is the number of its frames, 0 after the last chunk, and the output
/// is a pair of 16-bit numbers for each event, its frame within the chunk and its neuron.
#[unsafe(no_mangle)]
pub extern "C" fn next_events() -> i32 {
    answer(|state| {
        let chunk = state.file()?.events.next_chunk()?;
        let (mut bytes, mut frames) = (Vec::new(), 0);
        if let Some(chunk) = chunk {
            frames = chunk.events.frames();
            let pairs = chunk.events.iter().flat_map(|(frame, neuron)| [frame as u16, neuron]); // 4096 frames at most
            bytes.extend(pairs.flat_map(u16::to_le_bytes));
        }
        state.output = bytes;
        Ok(frames as i32)
    })
}

/// Compresses the input, interleaved 32-bit samples, at a bitrate in kbit/s. The output is the `.spic` file.
#[unsafe(no_mangle)]
pub extern "C" fn encode(rate: u32, channels: u32, kbps: f64) -> i32 {
    answer(|state| {
        let bytes = std::mem::take(&mut state.input);
        let samples = bytes.as_chunks::<4>().0.iter().map(|sample| f32::from_le_bytes(*sample));
        let format = Format { rate, channels: channels.try_into().unwrap_or(u16::MAX) };
        state.output = Encoder::new(state.model()?).bitrate(kbps)?.encode(samples, format)?;
        Ok(0)
    })
}
