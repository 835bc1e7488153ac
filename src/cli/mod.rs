//! The command line: a verb a file. Data goes to stdout, talk to stderr; exit 0 is yes, 1 is no, 2 is "could not run".

mod archive;
mod cat;
mod collect;
mod completions;
mod cosign;
mod deposit;
mod draft;
mod error;
mod extract;
mod heads;
mod history;
mod init;
mod input;
mod key;
mod keyring;
mod list;
mod log;
mod pace;
mod pack;
mod parts;
mod place;
mod prove;
mod push;
mod recompress;
mod reindex;
mod salvage;
mod search;
mod show;
mod sign;
mod sync;
mod trust;
mod ui;
mod verify;
mod withdraw;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

pub use error::Failure;
use ui::Ui;

/// Pack articles into signed, compressed, content-addressed bundles, and check and read them later
///
/// A bundle is a plain .tar.zst: `tar`, `zstd`, `sha256sum` and `minisign` open and check it without vellum.
#[derive(Debug, Parser)]
#[command(name = "vellum", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 yes, 1 the answer is no (damage, bad or missing signature, not found), 2 could not run."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every verb takes.
#[derive(Debug, Args)]
struct Global {
    /// Say nothing on stderr but errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Print one JSON object a line on stdout
    #[arg(long, global = true)]
    json: bool,
    /// Threads to work with [default: one for each processor]
    #[arg(long, global = true, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Folder of your keys and of the keys you trust [default: ~/.config/vellum]
    #[arg(long, global = true, value_name = "DIR", env = "VELLUM_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Key(key::KeyArgs),
    Draft(draft::DraftArgs),
    Pack(pack::PackArgs),
    Deposit(deposit::DepositArgs),
    Verify(verify::VerifyArgs),
    Extract(extract::ExtractArgs),
    Salvage(salvage::SalvageArgs),
    Show(show::ShowArgs),
    List(list::ListArgs),
    Cat(cat::CatArgs),
    Search(search::SearchArgs),
    History(history::HistoryArgs),
    Sign(sign::SignArgs),
    Prove(prove::ProveArgs),
    Recompress(recompress::RecompressArgs),
    Reindex(reindex::ReindexArgs),
    Withdraw(withdraw::WithdrawArgs),
    Log(log::LogArgs),
    Trust(trust::TrustVerbArgs),
    Sync(sync::SyncArgs),
    Push(push::PushArgs),
    Cosign(cosign::CosignArgs),
    Collect(collect::CollectArgs),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

impl Command {
    /// Says whether a verb has anything to print as JSON.
    fn has_json(&self) -> bool {
        match self {
            Self::Cat(_) | Self::Reindex(_) | Self::Completions(_) | Self::Man(_) => false,
            Self::Key(args) => args.has_json(),
            Self::Trust(args) => args.has_json(),
            _ => true,
        }
    }
}

/// What a verb answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Yes,
    No,
    /// Some of it could not be done, and why has been said already.
    NotDone,
}

/// Reads the arguments, runs the verb and returns the exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            ui::usage(&error);
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let ui = Ui::new(&cli.global);
    if ui.json && !cli.command.has_json() {
        ui.failure(&Failure::new("--json has no effect here: this verb has no objects to print"));
        return ExitCode::from(2);
    }
    let answer = match cli.command {
        Command::Init(args) => init::run(&args, &ui),
        Command::Deposit(args) => deposit::run(&args, &ui),
        Command::Search(args) => search::run(&args, &ui),
        Command::History(args) => history::run(&args, &ui),
        Command::Prove(args) => prove::run(&args, &ui),
        Command::Reindex(args) => reindex::run(&args, &ui),
        Command::Withdraw(args) => withdraw::run(&args, &ui),
        Command::Log(args) => log::run(&args, &ui),
        Command::Trust(args) => trust::run(&args, &ui),
        Command::Sync(args) => sync::run(&args, &ui),
        Command::Push(args) => push::run(&args, &ui),
        Command::Cosign(args) => cosign::run(&args, &ui),
        Command::Collect(args) => collect::run(&args, &ui),
        Command::Key(args) => key::run(args, &ui),
        Command::Draft(args) => draft::run(args, &ui),
        Command::Pack(args) => pack::run(args, &ui),
        Command::Verify(args) => verify::run(&args, &ui),
        Command::Extract(args) => extract::run(&args, &ui),
        Command::Salvage(args) => salvage::run(&args, &ui),
        Command::Show(args) => show::run(&args, &ui),
        Command::List(args) => list::run(&args, &ui),
        Command::Cat(args) => cat::run(&args, &ui),
        Command::Sign(args) => sign::run(&args, &ui),
        Command::Recompress(args) => recompress::run(&args, &ui),
        Command::Completions(args) => completions::completions(&args, Cli::command()),
        Command::Man(args) => completions::man(&args, Cli::command()),
    };
    ui.finish();
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Ok(Answer::NotDone) => ExitCode::from(2),
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            ui.failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}
