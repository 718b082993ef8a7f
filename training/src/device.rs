//! Where training computes: the CPU, or a GPU in a build with the feature `cuda`.

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;

/// The device called `cpu`, or `cuda:0`, `cuda:1` and so on.
///
/// # Errors
/// If there is no such device, or the program was built without support for it.
pub fn device(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let Some(Ok(number)) = name.strip_prefix("cuda:").map(str::parse::<usize>) else {
        bail!("device {name}: expected cpu, or cuda:0, cuda:1 and so on");
    };
    ensure!(
        cfg!(feature = "cuda"),
        "device {name}: this program was built without CUDA; build it with `cargo build --release --features cuda`"
    );
    Device::new_cuda(number).with_context(|| format!("device {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_go_by_their_names() {
        assert!(device("cpu").unwrap().is_cpu());
        for name in ["", "gpu", "cuda", "cuda:", "cuda:-1", "CPU"] {
            let message = device(name).unwrap_err().to_string();
            assert!(message.contains("expected cpu"), "{message}");
        }
        if cfg!(not(feature = "cuda")) {
            let message = device("cuda:0").unwrap_err().to_string();
            assert!(message.contains("cuda:0") && message.contains("--features cuda"), "{message}");
        }
    }
}
