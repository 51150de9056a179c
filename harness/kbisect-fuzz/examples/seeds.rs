//! Writes the seeds that no editor can write: frames, captures, packages. To be run again when a
//! format changes, as with a new version of the guest channel's protocol:
//!
//!     cargo run -p kbisect-fuzz --example seeds

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use kbisect_core::pcapng;
use kbisect_core::scenario::Scenario;
use kbisect_proto::frame::encode;
use kbisect_proto::{Command, Event, Exit, PROTOCOL, ProbeAnswer, Request};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    kept()?;
    channel()?;
    captures()?;
    flows()?;
    packages()?;
    rpms()
}

fn write(target: &str, name: &str, bytes: &[u8]) -> Result<()> {
    let folder: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}

/// Shipped scenarios as a run keeps them.
fn kept() -> Result<()> {
    for (name, text) in [
        ("connlimit", include_str!("../../../scenarios/connlimit/scenario.toml")),
        ("cloudgw", include_str!("../../../scenarios/cloudgw/scenario.toml")),
    ] {
        let parsed = Scenario::parse(name, "scenario.toml", text)?;
        write("kept", name, &serde_json::to_vec(parsed.scenario())?)?;
    }
    Ok(())
}

fn channel() -> Result<()> {
    let hello = Event::Hello {
        protocol: PROTOCOL,
        release: "6.12.57".to_owned(),
        version: "#1 SMP".to_owned(),
        uptime_ms: 1200,
        failed_modules: vec!["nft_synproxy: not there".to_owned()],
    };
    let exited = Event::Exited {
        id: 2,
        exit: Exit::Status(1),
        stdout: b"table ip nat\n".to_vec(),
        stderr: b"Error: Could not process rule\n".to_vec(),
        millis: 17,
    };
    let http = Event::Probed { id: 3, answer: ProbeAnswer::Http(Vec::new()) };
    let (beat, done) = (Event::Heartbeat { uptime_ms: 1700 }, Event::Done { id: 1 });
    let events = [&hello, &beat, &done, &exited, &http];
    let frames: Vec<Vec<u8>> =
        events.into_iter().map(encode).collect::<std::result::Result<_, _>>()?;
    write("channel", "a-short-life", &frames.concat())?;
    // Bodies behind a length of one byte: the target makes frames of them.
    let bodies = frames.iter().flat_map(|frame| {
        let body = &frame[8..];
        std::iter::once(body.len() as u8).chain(body.iter().copied())
    });
    write("channel", "bodies", &bodies.collect::<Vec<u8>>())?;
    let exec = Request::Exec {
        id: 9,
        node: "gateway".to_owned(),
        command: Command {
            argv: vec!["nft".to_owned(), "-f".to_owned(), "rules".to_owned()],
            stdin: Vec::new(),
            keep: 4096,
        },
        timeout_ms: 1000,
    };
    write("channel", "a-request", &encode(&exec)?)?;
    write(
        "channel",
        "a-gigabyte",
        &[&(1u32 << 30).to_be_bytes()[..], &[0; 4], b"and no more"].concat(),
    )?;
    let mut wrong = encode(&exited)?;
    wrong[12] ^= 1;
    write("channel", "a-flipped-bit", &wrong)?;
    write("channel", "cut-off", &frames[3][..20])
}

/// Ethernet, IPv4, TCP or UDP; check sums are zero, as virtual network cards may leave them.
fn frame(protocol: u8, from: (u8, u16), to: (u8, u16), flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut transport = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    if protocol == 6 {
        transport.extend(1000u32.to_be_bytes());
        transport.extend(2000u32.to_be_bytes());
        transport.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    } else {
        transport.extend((8 + payload.len() as u16).to_be_bytes());
        transport.extend([0, 0]);
    }
    transport.extend(payload);
    let mut frame = vec![2, 0, 0, 0, 0, to.0, 2, 0, 0, 0, 0, from.0, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend((20 + transport.len() as u16).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, from.0, 198, 51, 100, to.0]);
    frame.extend(transport);
    frame
}

const SYN: u8 = 2;
const SYN_ACK: u8 = 0x12;
const RST: u8 = 4;

fn pcap(little: bool, nanos: bool, link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let word = |bytes: &mut Vec<u8>, word: u32| {
        bytes.extend(if little { word.to_le_bytes() } else { word.to_be_bytes() });
    };
    let magic = if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let version = if little { 0x0004_0002 } else { 0x0002_0004 };
    [magic, version, 0, 0, 65_535, link].into_iter().for_each(|w| word(&mut bytes, w));
    for (at, frame) in frames.iter().enumerate() {
        let length = frame.len() as u32;
        [1_700_000_000, at as u32 * 250, length, length]
            .into_iter()
            .for_each(|w| word(&mut bytes, w));
        bytes.extend(frame);
    }
    bytes
}

fn captures() -> Result<()> {
    let handshake = [
        frame(6, (1, 40_000), (2, 80), SYN, b""),
        frame(6, (2, 80), (1, 40_000), SYN_ACK, b""),
        frame(6, (1, 40_000), (2, 80), 0x18, b"GET / HTTP/1.1\r\n\r\n"),
    ];
    let dns = [frame(17, (1, 40_001), (2, 53), 0, b"\x12\x34\x01\x00\x00\x01")];
    write("capture", "pcap-little", &pcap(true, false, 1, &handshake))?;
    write("capture", "pcap-big-nanoseconds", &pcap(false, true, 1, &dns))?;
    write("capture", "pcap-other-link", &pcap(true, false, 113, &dns))?;
    let mut file = pcapng::header(&["wan: client", "lan: server"]);
    for (at, frame) in handshake.iter().enumerate() {
        pcapng::packet(
            &mut file,
            at as u32 % 2,
            1_700_000_000_000_000_000 + at as u64 * 999,
            frame,
        );
    }
    write("capture", "pcapng", &file)?;
    write("capture", "pcapng-cut", &file[..file.len() - 30])?;
    let mut tagged = handshake[2].clone();
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    write("capture", "pcap-vlan", &pcap(true, false, 1, &[tagged]))
}

fn flows() -> Result<()> {
    let list = |frames: &[(u8, Vec<u8>)]| -> Vec<u8> {
        let one =
            |(place, frame): &(u8, Vec<u8>)| [&[*place, frame.len() as u8], &frame[..]].concat();
        frames.iter().flat_map(one).collect()
    };
    let syn = frame(6, (1, 40_000), (2, 80), SYN, b"");
    let answer = frame(6, (2, 80), (1, 40_000), SYN_ACK, b"");
    let seen = [(0, syn.clone()), (1, syn.clone()), (3, answer.clone()), (2 + 80, syn.clone())];
    write("flows", "an-answer-is-not-used", &list(&seen))?;
    write("flows", "a-refusal", &list(&[(0, syn), (1, frame(6, (2, 80), (1, 40_000), RST, b""))]))?;
    let query = |port| frame(17, (1, port), (2, 53), 0, b"query");
    write("flows", "udp-translated", &list(&[(0, query(40_001)), (2, query(1024)), (6, query(2))]))
}

fn packages() -> Result<()> {
    let image = "lib/modules/6.12.57/vmlinuz";
    let module = "lib/modules/6.12.57/kernel/net/a.ko";
    let control = tar(&[("./control", b"Package: linux-image-6.12.57\nVersion: 6.12.57-1\n")])?;
    let data =
        tar(&[(image, b"image"), (module, b"module"), ("boot/config-6.12.57", b"CONFIG_A=y\n")])?;
    let deb = |suffix: &str, control: Vec<u8>, data: Vec<u8>| -> Result<Vec<u8>> {
        let (c, d) = (format!("control.tar{suffix}"), format!("data.tar{suffix}"));
        ar(&[("debian-binary", b"2.0\n".to_vec()), (&c, control), (&d, data)])
    };
    write("deb", "plain.deb", &deb("", control.clone(), data.clone())?)?;
    write("deb", "xz.deb", &deb(".xz", xz(&control)?, xz(&data)?)?)?;
    write(
        "deb",
        "zst.deb",
        &deb(".zst", zstd::encode_all(&control[..], 1)?, zstd::encode_all(&data[..], 1)?)?,
    )?;
    write("deb", "gz.deb", &deb(".gz", gz(&control)?, gz(&data)?)?)?;
    let packed = tar(&[
        (&format!("{module}.xz"), &xz(b"module")?),
        (&format!("{module}.zst"), &zstd::encode_all(&b"m"[..], 1)?),
    ])?;
    write("deb", "packed-modules.deb", &deb("", control.clone(), packed)?)?;
    for (name, path) in [("dot-dot.deb", "lib/modules/../../../x"), ("absolute.deb", "/etc/passwd")]
    {
        write("deb", name, &deb("", control.clone(), tar(&[(path, b"x")])?)?)?;
    }
    write("deb", "no-package.deb", &ar(&[("readme", b"an ar archive".to_vec())])?)?;
    let long =
        tar(&[("././@LongLink", b"lib/modules/6.12.57/kernel/long\0"), (module, b"module")])?;
    let mut long = long;
    long[156] = b'L';
    mend(&mut long[..512]);
    write("deb", "long-name.deb", &deb("", control, long)?)
}

fn rpms() -> Result<()> {
    let image = "./lib/modules/6.12.57/vmlinuz";
    let module = "./usr/lib/modules/6.12.57/kernel/net/a.ko";
    let files: [(&str, &[u8]); 3] =
        [(image, b"image"), (module, b"module"), ("./boot/config-6.12.57", b"CONFIG_A=y\n")];
    let payload = cpio(&files);
    write("rpm", "gzip.rpm", &rpm("gzip", &gz(&payload)?))?;
    write("rpm", "xz.rpm", &rpm("xz", &xz(&payload)?))?;
    write("rpm", "zstd.rpm", &rpm("zstd", &zstd::encode_all(&payload[..], 1)?))?;
    let packed: [(&str, &[u8]); 1] = [(&format!("{module}.xz"), &xz(b"module")?)];
    write("rpm", "packed-modules.rpm", &rpm("gzip", &gz(&cpio(&packed))?))?;
    for (name, path) in
        [("dot-dot.rpm", "./lib/modules/../../../x"), ("absolute.rpm", "/etc/passwd")]
    {
        write("rpm", name, &rpm("gzip", &gz(&cpio(&[(path, b"x")]))?))?;
    }
    write("rpm", "no-archive.rpm", &rpm("gzip", &gz(b"no archive")?))
}

/// Lead, a signature header with nothing in it, a header with name and compressor, payload.
fn rpm(compressor: &str, payload: &[u8]) -> Vec<u8> {
    let header = |tags: &[(u32, &str)]| {
        let (mut index, mut values) = (Vec::new(), Vec::new());
        for (tag, text) in tags {
            for number in [*tag, 6, values.len() as u32, 1] {
                index.extend(number.to_be_bytes());
            }
            values.extend(text.bytes().chain([0]));
        }
        let sizes = [tags.len() as u32, values.len() as u32].map(u32::to_be_bytes).concat();
        [vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0], sizes, index, values].concat()
    };
    let mut lead = vec![0xed, 0xab, 0xee, 0xdb, 3, 0];
    lead.resize(96, 0);
    let main = header(&[(1000, "kernel-core"), (1125, compressor)]);
    [lead, header(&[]), main, payload.to_vec()].concat()
}

fn cpio(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, data) in entries.iter().chain(&[("TRAILER!!!", &b""[..])]) {
        let length = path.len() as u32 + 1;
        let fields = [1, 0o100_644, 0, 0, 1, 0, data.len() as u32, 0, 0, 0, 0, length, 0];
        archive.extend(b"070701");
        archive.extend(fields.map(|field: u32| format!("{field:08x}")).concat().bytes());
        archive.extend(path.bytes().chain([0]));
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(*data);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    archive
}

fn ar(members: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut builder = ar::Builder::new(Vec::new());
    for (name, data) in members {
        builder.append(&ar::Header::new(name.as_bytes().to_vec(), data.len() as u64), &data[..])?;
    }
    Ok(builder.into_inner()?)
}

/// Paths as they are: the tar crate itself would refuse the hostile ones.
fn tar(entries: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, data) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(data.len() as u64);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *data)?;
    }
    Ok(builder.into_inner()?)
}

fn mend(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn xz(data: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(data)?;
    Ok(encoder.finish()?)
}

fn gz(data: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data)?;
    Ok(encoder.finish()?)
}
