//! Tiny modules: ELF files with just the sections that are looked at.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

/// What a module is to say about itself.
#[derive(Clone, Copy)]
pub struct FakeModule {
    /// `name=` in its information; none for an old one.
    pub name: Option<&'static str>,
    /// `vermagic=`; empty for none.
    pub vermagic: &'static str,
    /// Checksums of symbols.
    pub versions: &'static [(&'static str, u64)],
    /// Whether there is module information at all.
    pub info: bool,
    /// Its code, so that two modules differ.
    pub text: &'static [u8],
}

impl Default for FakeModule {
    fn default() -> Self {
        Self {
            name: Some("vrf"),
            vermagic: "6.12.57+deb13-cloud-amd64 SMP mod_unload modversions ",
            versions: &[],
            info: true,
            text: b"code",
        }
    }
}

impl FakeModule {
    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut info = b"license=GPL\0depends=\0".to_vec();
        for (key, value) in
            [("name", self.name), ("vermagic", Some(self.vermagic).filter(|text| !text.is_empty()))]
        {
            info.extend(value.map(|value| format!("{key}={value}\0")).unwrap_or_default().bytes());
        }
        let mut versions = Vec::new();
        for (name, checksum) in self.versions {
            let mut entry = checksum.to_le_bytes().to_vec();
            entry.extend(name.bytes());
            entry.resize(64, 0);
            versions.extend(entry);
        }
        let mut sections: Vec<(&str, Vec<u8>)> = vec![(".text", self.text.to_vec())];
        if self.info {
            sections.push((".modinfo", info));
        }
        sections.push(("__versions", versions));
        elf(&sections)
    }

    /// The file with a signature of the right form.
    pub fn signed(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes.extend([0x30; 100]);
        bytes.extend([0, 0, 2, 0, 0, 0, 0, 0]);
        bytes.extend(100_u32.to_be_bytes());
        bytes.extend(b"~Module signature appended~\n");
        bytes
    }
}

/// A relocatable file for x86-64: header, contents, names, section headers.
fn elf(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0_u8; 64];
    let mut names = vec![0_u8];
    let mut headers = vec![0_u8; 64];
    let mut add = |name: &str, content: &[u8], kind: u32, names: &mut Vec<u8>| {
        let mut header = Vec::new();
        header.extend((names.len() as u32).to_le_bytes());
        header.extend(kind.to_le_bytes());
        names.extend(name.bytes().chain([0]));
        header.extend([0; 16]);
        header.extend((bytes.len() as u64).to_le_bytes());
        // The table of names holds its own name too.
        let content = if kind == 3 { names.as_slice() } else { content };
        header.extend((content.len() as u64).to_le_bytes());
        header.extend([0; 8]);
        header.extend(1_u64.to_le_bytes());
        header.extend([0; 8]);
        bytes.extend(content);
        headers.extend(header);
    };
    for (name, content) in sections {
        add(name, content, 1, &mut names);
    }
    add(".shstrtab", &[], 3, &mut names);
    let start = bytes.len() as u64;
    let count = (headers.len() / 64) as u16;
    bytes.extend(headers);
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16..18].copy_from_slice(&1_u16.to_le_bytes());
    bytes[18..20].copy_from_slice(&62_u16.to_le_bytes());
    bytes[40..48].copy_from_slice(&start.to_le_bytes());
    bytes[58..60].copy_from_slice(&64_u16.to_le_bytes());
    bytes[60..62].copy_from_slice(&count.to_le_bytes());
    bytes[62..64].copy_from_slice(&(count - 1).to_le_bytes());
    bytes
}
