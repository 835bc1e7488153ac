//! `vellum push`: an archive into a bucket; or a bundle, for its publisher to take in.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::archive::layout;
use crate::mirror::push;
use crate::store::{Condition, Failed, Remote};

use super::archive::open_whole;
use super::input::ReadArgs;
use super::ui::{self, Ui};
use super::{Answer, Failure, place};

/// Put an archive into an S3-compatible bucket, from which it can be read and synced
///
/// The bucket's server and keys come from AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
/// AWS_SESSION_TOKEN. Two publishers are kept apart by a claim; a push that was killed is finished by the next one.
///
/// A bundle instead of an archive is put below `incoming/` for whoever publishes: many may pack, one logs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum push library/ s3://bucket/library
  AWS_ENDPOINT_URL=http://127.0.0.1:9000 vellum push library/ s3://bucket
  vellum push letters.tar.zst s3://bucket/library       a worker; prints the bundle's address
  vellum deposit library/ s3://bucket/library/incoming/9f….tar.zst   the publisher")]
pub(super) struct PushArgs {
    /// The archive, or a bundle's file
    #[arg(value_name = "ARCHIVE|BUNDLE")]
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
    args.read.fit(&[&args.library], false)?;
    let remote = place::remote(&args.bucket)?;
    if !remote.is_bucket() {
        return Err(Failure::new(format!("{}: is no bucket", args.bucket))
            .hint("a web server's folder is filled by copying the archive there: `rsync -a --exclude .vellum library/ host:/srv/library/`"));
    }
    if args.library.is_file() {
        return bundle(args, &remote, ui);
    }
    let opened = open_whole(&args.library, &args.read, ui)?;
    let done = push(&opened.archive, &opened.vouched, &remote, ui.run())?;
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
        ui.print(format!("{}: {what} written; now {}", args.bucket, ui::leaves(done.after)))?;
    }
    Ok(Answer::Yes)
}

/// Puts a bundle where its publisher finds it; what is in it is for the publisher to check.
fn bundle(args: &PushArgs, remote: &Remote, ui: &Ui) -> Result<Answer, Failure> {
    let about = |failure: Failure| failure.about(args.library.display());
    let (bundle, ..) = args.read.bundle(&args.library, ui)?;
    let place = layout::incoming_bundle(bundle.id());
    let mut file = fs::File::open(&args.library).map_err(|error| about(Failure::new("cannot be read").cause(error)))?;
    match remote.put(&place, &mut file, bundle.file_bytes(), Condition::Absent) {
        Err(error) if error.failed == Failed::Exists => ui.say("it is there already"),
        other => drop(other?),
    }
    ui.print(format!("{}/{place}", remote.name()))?;
    Ok(Answer::Yes)
}
