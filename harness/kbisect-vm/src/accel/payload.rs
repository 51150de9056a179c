//! The smallest guests that prove that they run: each writes [`PROOF`] to the debug-exit device
//! (`isa-debug-exit`, hw/misc/debugexit.c) and halts.

/// What a guest writes as its proof.
pub(super) const PROOF: u8 = 0x2a;

/// Where the PVH guest is loaded and begins.
const ENTRY: u32 = 0x10_0000;
/// Pages that the PVH guest writes to: from 2 MiB to here.
const MEMORY_END: u32 = 48 << 20;
/// Turns of the guests' loop.
const TURNS: u32 = 20_000_000;

/// A disk whose boot sector gives the proof.
pub(super) fn boot_sector() -> Vec<u8> {
    // mov ecx, TURNS; dec ecx; jnz to that
    let mut sector = vec![0x66, 0xb9];
    sector.extend(TURNS.to_le_bytes());
    sector.extend([0x66, 0x49, 0x75, 0xfc]);
    // mov al, PROOF; out 0xf4, al; cli; hlt; jmp $
    sector.extend([0xb0, PROOF, 0xe6, 0xf4, 0xfa, 0xf4, 0xeb, 0xfe]);
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    // SeaBIOS wants to see a disk of some size.
    sector.resize(1 << 20, 0);
    sector
}

/// An ELF file with a PVH entry (the Xen note `XEN_ELFNOTE_PHYS32_ENTRY`, see xen/elfnote.h): it
/// writes to 46 MiB of memory, page by page, counts for a while, and gives the proof. So the time it
/// takes says something of memory faults, of computing, and of the firmware before it.
pub(super) fn pvh_kernel() -> Vec<u8> {
    const HEADER: u16 = 64;
    const PROGRAM_HEADER: u16 = 56;
    const CODE_AT: u64 = 0x1000;
    let code = code();
    let note: Vec<u8> = [4u32, 4, 18]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .chain(*b"Xen\0")
        .chain(ENTRY.to_le_bytes())
        .collect();
    let note_at = u64::from(HEADER + 2 * PROGRAM_HEADER);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // Executable, x86-64, version 1.
    file.extend([2u16, 62].iter().flat_map(|word| word.to_le_bytes()));
    file.extend(1u32.to_le_bytes());
    // Entry, program headers, section headers; flags.
    file.extend(
        [u64::from(ENTRY), u64::from(HEADER), 0].iter().flat_map(|word| word.to_le_bytes()),
    );
    file.extend(0u32.to_le_bytes());
    let sizes = [HEADER, PROGRAM_HEADER, 2, 0, 0, 0];
    file.extend(sizes.iter().flat_map(|word| word.to_le_bytes()));
    let mut segment = |kind: u32, flags: u32, words: [u64; 6]| {
        file.extend([kind, flags].iter().flat_map(|word| word.to_le_bytes()));
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    };
    let (entry, code_size, note_size) = (u64::from(ENTRY), code.len() as u64, note.len() as u64);
    // A segment to load that can be read, written and executed; the note.
    segment(1, 7, [CODE_AT, entry, entry, code_size, code_size, 0x1000]);
    segment(4, 4, [note_at, 0, 0, note_size, note_size, 4]);
    file.extend(note);
    file.resize(CODE_AT as usize, 0);
    file.extend(code);
    file
}

/// The PVH guest's 32-bit code.
fn code() -> Vec<u8> {
    let mut code = Vec::new();
    // mov edi, 2 MiB
    code.push(0xbf);
    code.extend((2u32 << 20).to_le_bytes());
    // mov [edi], edi; add edi, 4096; cmp edi, MEMORY_END; jb to the first of these
    code.extend([0x89, 0x3f, 0x81, 0xc7]);
    code.extend(4096u32.to_le_bytes());
    code.extend([0x81, 0xff]);
    code.extend(MEMORY_END.to_le_bytes());
    code.extend([0x72, 0xf0]);
    // mov ecx, TURNS; dec ecx; jnz to that
    code.push(0xb9);
    code.extend(TURNS.to_le_bytes());
    code.extend([0x49, 0x75, 0xfd]);
    // mov al, PROOF; out 0xf4, al; cli; hlt; jmp to hlt
    code.extend([0xb0, PROOF, 0xe6, 0xf4, 0xfa, 0xf4, 0xeb, 0xfd]);
    code
}
