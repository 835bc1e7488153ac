//! `vellum push`: an archive into a bucket.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::mirror::push;

use super::archive::open;
use super::input::ReadArgs;
use super::ui::{self, Ui};
use super::{Answer, Failure, place};

/// Put an archive into an S3-compatible bucket, from which it can be read and synced
///
/// The bucket's server and keys come from AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
/// AWS_SESSION_TOKEN. Two publishers are kept apart by a claim; a push that was killed is finished by the next one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum push library/ s3://bucket/library
  AWS_ENDPOINT_URL=http://127.0.0.1:9000 vellum push library/ s3://bucket")]
pub(super) struct PushArgs {
    /// The archive
    #[arg(value_name = "ARCHIVE")]
    library: PathBuf,
    /// The bucket, and a prefix in it: s3://BUCKET/PREFIX
    bucket: String,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn run(args: &PushArgs, ui: &Ui) -> Result<Answer, Failure> {
    #[derive(Serialize)]
    struct Json {
        before: u64,
        after: u64,
        bundles: u64,
        bytes: u64,
        removed: u64,
        guarded: bool,
    }
    let remote = place::remote(&args.bucket)?;
    if !remote.is_bucket() {
        return Err(Failure::new(format!("{}: is no bucket", args.bucket))
            .hint("a web server's folder is filled by copying the archive there: `rsync -a --exclude .vellum library/ host:/srv/library/`"));
    }
    let opened = open(&args.library, &args.read, ui)?;
    let done = push(&opened.archive, &opened.vouched, &remote, ui)?;
    ui.finish();
    if !done.guarded {
        ui.say("warning: this bucket has no conditional writes: keep to one publisher");
    }
    if ui.json {
        let (before, after, bundles, bytes) = (done.before, done.after, done.bundles, done.bytes);
        let (removed, guarded) = (done.removed, done.guarded);
        ui.print_json("pushed", &Json { before, after, bundles, bytes, removed, guarded })?;
    } else {
        let what = format!("{}, {}", ui::count(done.bundles, "bundle"), ui::bytes(done.bytes));
        ui.print(format!("{}: {what} written; now {} leaves", args.bucket, ui::thousands(done.after)))?;
    }
    Ok(Answer::Yes)
}
