//! `vellum recompress`: the same bundle, smaller or quicker to open. Its id and signatures stay.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::folder::rewrite::{self, Target};
use crate::format::bundle::{self, Bundle};
use crate::format::frame::MAX_LEVEL;
use crate::format::framing::{FRAME_BYTES, MAX_FRAME_TARGET, MIN_FRAME_TARGET};
use crate::watch::{Task, Watch};

use super::input::file_name_finding;
use super::ui::{self, Ui};
use super::{Answer, Failure};

/// The most memory that the compressors together may take, in bytes: what a level needs bounds the threads.
const MEMORY_BYTES: u64 = 96 << 20;

/// Compress a bundle anew; its id and signatures stay
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum recompress --level 19 library.tar.zst              in place
  vellum recompress --level 19 --output small.tar.zst library.tar.zst")]
pub(super) struct RecompressArgs {
    /// Bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Level of zstd
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=i64::from(MAX_LEVEL)))]
    level: i32,
    /// Fill frames up to this, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = FRAME_BYTES,
          value_parser = clap::value_parser!(u64).range(MIN_FRAME_TARGET..=MAX_FRAME_TARGET))]
    frame_size: u64,
    /// Write to this file and leave the bundle as it is
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct JsonRecompressed {
    file: String,
    id: String,
    bytes_before: u64,
    bytes_after: u64,
}

pub(super) fn run(args: &RecompressArgs, ui: &Ui) -> Result<Answer, Failure> {
    let about = |failure: Failure| failure.about(args.bundle.display());
    let unreadable = |error: io::Error| about(Failure::new("cannot be read").cause(error));
    let (file, target) = match &args.output {
        // What nobody else may read stays so.
        Some(output) => {
            let file = File::open(&args.bundle).map_err(unreadable)?;
            let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
            (file, Target::New(output, mode))
        }
        None => {
            let rewrite = rewrite::lock(&args.bundle, ui.run())?;
            (rewrite.file().try_clone().map_err(unreadable)?, Target::InPlace(rewrite))
        }
    };
    let bundle = Bundle::open(file).map_err(|error| about(error.into()))?;
    if let Some(finding) = file_name_finding(&args.bundle, bundle.id()) {
        return Err(about(bundle::Error::from(finding).into()));
    }
    let contents = bundle.contents().map_err(|error| about(error.into()))?;
    let output = args.output.as_ref().unwrap_or(&args.bundle);
    if args.output.as_ref().is_some_and(|output| output.symlink_metadata().is_ok()) {
        return Err(Failure::new(format!("{}: exists already", output.display())));
    }
    let each = args.frame_size * if args.level > 15 { 18 } else { 8 };
    let most = NonZeroUsize::new((MEMORY_BYTES / each) as usize).unwrap_or(NonZeroUsize::MIN);
    let run = ui.run().on(ui.run().threads.min(most));
    ui.begin(Task::Recompress, Some(2 * contents.layout.end()));
    let done = rewrite::compress_anew(&bundle, &contents, target, args.level, args.frame_size, run);
    ui.finish();
    let (before, after) = (bundle.file_bytes(), done.map_err(|error| about(error.into()))?);
    if ui.json {
        let (file, id) = (output.display().to_string(), bundle.id().to_string());
        ui.print_json("recompressed", &JsonRecompressed { file, id, bytes_before: before, bytes_after: after })?;
    } else {
        ui.say(format!("{}: {} instead of {}", output.display(), ui::bytes(after), ui::bytes(before)));
    }
    Ok(Answer::Yes)
}
