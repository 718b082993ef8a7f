//! Names for files and codecs that can't be decoded here, so that a refusal says what the file is.

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known as id;

/// Why a file is no input, by its first bytes, if it holds no audio that could be converted.
pub(super) fn not_audio(head: &[u8]) -> Option<&'static str> {
    let signatures: [(&[u8], &str); 8] = [
        (b"SPIC", "is compressed by Spiccato already; decompress it (`spiccato decompress`) to get its sound"),
        (b"MThd", "is a MIDI file: notes, not sound"),
        (b"#EXTM3U", "is a playlist, not audio; name the files that it lists"),
        (b"[playlist]", "is a playlist, not audio; name the files that it lists"),
        (b"PK\x03\x04", "is a ZIP archive; unpack it and name the audio files in it"),
        (b"%PDF", "is a PDF document, not audio"),
        (b"\x89PNG", "is a picture, not audio"),
        (b"\xff\xd8\xff\xe0", "is a picture, not audio"),
    ];
    signatures.into_iter().find(|(signature, _)| head.starts_with(signature)).map(|(_, reason)| reason)
}

/// What a file is beyond doubt, by its first bytes, if nothing can read it.
pub(super) fn certain_kind(head: &[u8]) -> Option<&'static str> {
    let form = head.get(8..12).unwrap_or_default();
    if head.starts_with(b"RIFF") && form == b"AVI " {
        return Some("an AVI video");
    }
    // Packets of 188 bytes, with or without a time of four bytes before each.
    let packets = |first: usize| (0..3).all(|packet| head.get(first + packet * (188 + first)) == Some(&0x47));
    if packets(0) || packets(4) {
        return Some("an MPEG transport stream");
    }
    let signatures: [(&[u8], &str); 18] = [
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
        (b"\x7f\xfe\x80\x01", "DTS"),
        (b"FLV\x01", "a Flash video"),
        (b"\0\0\x01\xba", "an MPEG program stream"),
        (b"\0\0\x01\xb3", "an MPEG video"),
    ];
    signatures.into_iter().find(|(signature, _)| head.starts_with(signature)).map(|(_, name)| name)
}

/// What a file may be that no reader knows after all, by its first bytes.
pub(super) fn likely_kind(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'O', b'g', b'g', b'S', ..] => ogg_kind(head),
        [0x0b, 0x77, ..] => Some("AC-3"),
        [0x56, second, ..] if second >> 5 == 0b111 => Some("AAC in a LATM stream"),
        _ => free_format(head),
    }
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
        assert_eq!((likely_kind(&speex), certain_kind(&speex)), (Some("Speex"), None));
        assert_eq!(likely_kind(&speex[..20]), None);
        assert_eq!(certain_kind(b"wvpk...."), Some("WavPack"));
        assert!(not_audio(b"SPIC\x01").is_some_and(|reason| reason.contains("spiccato decompress")));
        // Audio in between the headers of a video would be decoded with gaps, if at all.
        assert_eq!(certain_kind(b"RIFF\0\0\0\0AVI LIST"), Some("an AVI video"));
        for (first, length) in [(0, 188), (4, 192)] {
            let mut stream = vec![0; 600];
            (0..3).for_each(|packet| stream[first + packet * length] = 0x47);
            assert_eq!(certain_kind(&stream), Some("an MPEG transport stream"));
        }
        assert!(likely_kind(&[0xff, 0xfb, 0x00, 0x64]).is_some_and(|name| name.contains("free format")));
        for known in [&[0xff, 0xfb, 0x90, 0x64][..], b"RIFF", b"fLaC", b"\xff\xf1\x50\x80", b""] {
            assert_eq!((likely_kind(known), certain_kind(known)), (None, None));
            assert_eq!(not_audio(known), None);
        }
    }
}
