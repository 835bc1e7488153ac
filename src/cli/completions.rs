//! `vellum completions` and `vellum man`: generated from the command line's own description.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::{Answer, Failure};

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum completions bash > ~/.local/share/bash-completion/completions/vellum
  vellum completions fish > ~/.config/fish/completions/vellum.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write the manual pages
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vellum man --to ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<Answer, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "vellum", &mut text);
    io::stdout().write_all(&text).map_err(Failure::stdout)?;
    Ok(Answer::Yes)
}

pub(super) fn man(args: &ManArgs, command: Command) -> Result<Answer, Failure> {
    let failed = |error: io::Error| Failure::new(format!("{}: cannot be written", args.to.display())).cause(error);
    fs::create_dir_all(&args.to).map_err(failed)?;
    clap_mangen::generate_to(command, &args.to).map_err(failed)?;
    Ok(Answer::Yes)
}
