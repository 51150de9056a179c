//! Writing the archive.

use std::io::Write;

use tar::{Builder, EntryType, Header};

use super::BundleError;
use super::files::BundleFile;

/// Level of compression: most of the gain in little time. The bytes follow from it, so it is fixed.
const LEVEL: i32 = 9;

/// Writes the files in their order, below one folder, with fixed times and owners.
pub(super) fn write(
    folder: &str,
    files: &[BundleFile],
    time: u64,
    to: impl Write,
) -> Result<(), BundleError> {
    let mut builder = Builder::new(zstd::Encoder::new(to, LEVEL)?);
    for file in files {
        let (length, reader) = file.open()?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(length);
        header.set_mode(if file.executable { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(time);
        builder.append_data(&mut header, format!("{folder}/{}", file.path), reader)?;
    }
    builder.into_inner()?.finish()?.flush()?;
    Ok(())
}
