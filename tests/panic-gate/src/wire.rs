use crate::outside::{Fickle, any, buffer, bytes, dialect, keep, number, size};
use longlink::wire::{
    Batch, BufferTooSmall, Decoded, Decoder, Dialect, EncodeError, Frame, FrameError, FrameMut, Header, Layout, decode,
    encode, encode_header, encode_with_extension,
};

pub fn call_all() {
    dialects();
    errors();
    codec();
    decoder(buffer(), buffer());
    decoder(any([0; 64]), any([0; 64]));
    decoder(Fickle, Fickle);
}

fn dialects() {
    keep(any(Layout::Wire16).header_len());
    keep(any([Dialect::LONGLINK, Dialect::MARS, Dialect::GOIM, Dialect::BILIBILI]));
    keep(Dialect::default());
    keep(dialect().reply_to(number()));
    keep(dialect().header_len());
    keep(dialect().is_consistent());
    keep(any(dialect()) == any(dialect()));
}

fn errors() {
    let error: FrameError = any(FrameError::Truncated { missing: 0 });
    keep(error.is_fatal());
    keep(error.field());
    keep(error.value());
    keep(any(error) == any(error));
    keep(EncodeError::from(BufferTooSmall { required: size() }));
}

fn codec() {
    if let Ok(Decoded::Frame(whole)) = any(decode(dialect(), bytes())) {
        frame(any(whole));
    }
    keep(encode(dialect(), number(), number(), bytes(), buffer()));
    keep(encode_with_extension(dialect(), number(), number(), bytes(), bytes(), buffer()));
    keep(encode_header(dialect(), number(), number(), size(), buffer()));

    let mut batch = Batch::new(dialect(), bytes());
    keep(any(&mut batch).next());
    keep(any(&batch).rest());
}

fn header(header: Header) {
    keep(header.length());
    keep(header.header_len());
    keep(header.version());
    keep(header.command());
    keep(header.sequence());
}

fn frame(frame: Frame<'_>) {
    header(any(&frame).header());
    keep(any(&frame).length());
    keep(any(&frame).version());
    keep(any(&frame).command());
    keep(any(&frame).sequence());
    keep(any(&frame).body());
    keep(any(&frame).extension());
    keep(any(&frame).is_nested());
    keep(any(frame) == any(frame));
}

fn frame_mut(mut frame: FrameMut<'_>) {
    keep(any(&frame).header());
    keep(any(&frame).extension());
    keep(any(&mut frame).body_mut());
    keep(any(frame).freeze(size()));
}

fn decoder<B: AsRef<[u8]> + AsMut<[u8]>>(buffer: B, spare: B) {
    let mut decoder = Decoder::without_buffer(dialect());
    keep(any(&mut decoder).lend(spare));
    if let Ok(ready) = any(Decoder::new(dialect(), buffer)) {
        decoder = ready;
    }
    keep(any(&mut decoder).space());
    any(&mut decoder).commit(size());
    if let Ok(Some(whole)) = any(any(&mut decoder).next_frame()) {
        frame(any(whole));
    }
    if let Ok(Some(whole)) = any(any(&mut decoder).next_frame_mut()) {
        frame_mut(any(whole));
    }
    any(&mut decoder).reset();
    keep(any(&mut decoder).reclaim());
    keep(any(&decoder).is_empty());
    keep(any(&decoder).buffered());
    keep(any(&decoder).skipping());
    keep(any(&decoder).need());
    keep(any(&decoder).limit());
    keep(any(&decoder).dialect());
}
