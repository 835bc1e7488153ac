use std::time::Instant;
use vellum::format::frame::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let data = std::fs::read(&a[1]).unwrap();
    for fs in [1usize << 20, 2 << 20, 4 << 20] {
        for l in [1, 2, 3, 4, 5, 6] {
            let mut e = FrameEncoder::new(l);
            let t = Instant::now();
            let mut n = 0;
            let mut out = Vec::new();
            for c in data.chunks(fs) {
                out.clear();
                e.encode(c, &mut out).unwrap();
                n += out.len();
            }
            let s = t.elapsed().as_secs_f64();
            println!("frame {} level {} -> {} ({:.1} MB/s)", fs >> 20, l, n, data.len() as f64 / 1e6 / s);
        }
    }
}
