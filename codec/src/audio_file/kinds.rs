//! Names for files and codecs that can't be decoded here, so that a refusal says what the file is.

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known as id;

/// What a file is that no reader knows, by its first bytes.
pub(super) fn file_kind(head: &[u8]) -> Option<&'static str> {
    let begins = |signature: &[u8]| head.starts_with(signature);
    if begins(b"OggS") {
        return ogg_kind(head);
    }
    let signatures: [(&[u8], &str); 25] = [
        (b"wvpk", "WavPack"),
        (b"MAC ", "Monkey's Audio"),
        (b"MPCK", "Musepack"),
        (b"MP+", "Musepack"),
        (b"TTA1", "True Audio"),
        (b"OFR ", "OptimFROG"),
        (b"tBaK", "TAK"),
        (b"DSD ", "DSD audio"),
        (b"FRM8", "DSD audio"),
        (b"#!AMR", "AMR"),
        (b".snd", "a Sun audio file"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media Audio"),
        (b".RMF", "RealAudio"),
        (b".ra\xfd", "RealAudio"),
        (b"\x0b\x77", "AC-3"),
        (b"\x7f\xfe\x80\x01", "DTS"),
        (b"MThd", "a MIDI file: notes, not sound"),
        (b"#EXTM3U", "a playlist"),
        (b"[playlist]", "a playlist"),
        (b"SPIC", "already compressed by Spiccato"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"%PDF", "a PDF document"),
        (b"\x89PNG", "a picture"),
        (b"\xff\xd8\xff", "a picture"),
        (b"FLV\x01", "a Flash video"),
    ];
    let found = signatures.into_iter().find(|(signature, _)| begins(signature)).map(|(_, name)| name);
    found.or_else(|| is_latm(head).then_some("AAC in a LATM stream")).or_else(|| free_format(head))
}

/// What the first packet of an Ogg file belongs to.
fn ogg_kind(head: &[u8]) -> Option<&'static str> {
    let segments = usize::from(*head.get(26)?);
    let packet = head.get(27 + segments..)?;
    // Families of channel mappings that stand for something else than loudspeakers.
    if packet.starts_with(b"OpusHead") && packet.get(18).is_some_and(|&family| family > 1) {
        return Some("Opus with a channel mapping that is not known here");
    }
    let signatures: [(&[u8], &str); 5] = [
        (b"Speex   ", "Speex"),
        (b"CELT    ", "CELT, the forerunner of Opus"),
        (b"\x80theora", "a Theora video without sound"),
        (b"PCM     ", "plain samples in Ogg"),
        (b"fishead\0", "an Ogg file with an index"),
    ];
    signatures.into_iter().find(|(signature, _)| packet.starts_with(signature)).map(|(_, name)| name)
}

fn is_latm(head: &[u8]) -> bool {
    matches!(head, [0x56, second, ..] if second >> 5 == 0b111)
}

/// A frame of MPEG audio whose header does not say the bit rate.
fn free_format(head: &[u8]) -> Option<&'static str> {
    let [0xff, second, third, ..] = *head else { return None };
    let layer = second >> 1 & 3;
    (second >> 5 == 0b111 && layer != 0 && second >> 3 & 3 != 1 && third >> 4 == 0 && third >> 2 & 3 != 3)
        .then_some("MPEG audio of free format, whose frames have no declared length")
}

/// The name of a codec that there is no decoder for.
pub(super) fn codec_name(codec: AudioCodecId) -> Option<&'static str> {
    Some(match codec {
        id::CODEC_ID_OPUS => "Opus with a channel mapping that is not known here",
        id::CODEC_ID_SPEEX => "Speex",
        id::CODEC_ID_MUSEPACK => "Musepack",
        id::CODEC_ID_WAVPACK => "WavPack",
        id::CODEC_ID_TTA => "True Audio",
        id::CODEC_ID_MONKEYS_AUDIO => "Monkey's Audio",
        id::CODEC_ID_AC3 => "AC-3",
        id::CODEC_ID_EAC3 => "E-AC-3",
        id::CODEC_ID_AC4 => "AC-4",
        id::CODEC_ID_DCA => "DTS",
        id::CODEC_ID_TRUEHD => "Dolby TrueHD",
        id::CODEC_ID_WMA => "Windows Media Audio",
        id::CODEC_ID_ADPCM_IMA_QT => "ADPCM in QuickTime",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_their_first_bytes() {
        let speex = [&b"OggS\0\x02"[..], &[0; 20], &[1, 80], b"Speex   1.2"].concat();
        assert_eq!(file_kind(&speex), Some("Speex"));
        assert_eq!(file_kind(&speex[..20]), None);
        assert_eq!(file_kind(b"wvpk...."), Some("WavPack"));
        assert!(file_kind(&[0xff, 0xfb, 0x00, 0x64]).is_some_and(|name| name.contains("free format")));
        assert_eq!(file_kind(&[0xff, 0xfb, 0x90, 0x64]), None);
        assert_eq!((file_kind(b"RIFF"), file_kind(b"")), (None, None));
    }
}
