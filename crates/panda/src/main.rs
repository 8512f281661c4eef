//! The panda binary.
fn main() -> anyhow::Result<()> {
    let w = panda::bench::Workload::generated(1_000_000, 10)?;
    for orders in [false, true] {
        for _ in 0..3 {
            let (t, s, _) = panda::bench::pass(&w, orders, 1, false)?;
            println!("{t:?} {s} {:.1} M/s", t.ticks as f64 / s / 1e6);
        }
    }
    let (t, s, _) = panda::bench::pass(&w, true, 12, false)?;
    println!("{t:?} {s} {:.1} M/s", t.ticks as f64 / s / 1e6);
    println!("{}", panda::bench::pass(&w, true, 1, true)?.2.unwrap());
    Ok(())
}
