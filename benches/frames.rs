//! Cost of frames: writing frames for clients, reading masked frames from clients.

#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use criterion::{Criterion, Throughput};
use tagcast::websocket::{Fin, FrameReader, MessageLimits, Opcode, write};

/// Mask key that does not change the bytes, so one buffer can be unmasked repeatedly. It costs as
/// much as any other key, because no step depends on its value.
const MASK: [u8; 4] = [0; 4];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    write_text(&mut criterion);
    read_masked(&mut criterion);
    criterion.final_summary();
}

fn write_text(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write text");
    for (name, bytes) in [("16 B", 16), ("128 B", 128), ("64 KiB", 64 * 1024)] {
        let payload = vec![b'x'; bytes];
        let mut out = BytesMut::with_capacity(bytes + write::SERVER_HEADER_BYTES_MAX);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                write::text(black_box(&mut out), black_box(&payload));
            });
        });
    }
    group.finish();
}

fn read_masked(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read masked text");
    let cases = [("128 B", 1, 128), ("64 of 128 B", 64, 128), ("64 KiB", 1, 64 * 1024)];
    for (name, frames, bytes) in cases {
        let mut buffer = Vec::new();
        for _ in 0..frames {
            write::masked(&mut buffer, Opcode::Text, Fin::Last, &vec![b'x'; bytes], MASK);
        }
        let (mut reader, limits) = (FrameReader::default(), MessageLimits::default());
        group.throughput(Throughput::Bytes((frames * bytes) as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut input = black_box(buffer.as_mut_slice());
                while let Some(event) = reader.next(&mut input, &limits).unwrap() {
                    black_box(event);
                }
            });
        });
    }
    group.finish();
}
