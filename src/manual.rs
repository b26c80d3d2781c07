//! What follows from the description of the command line: completions for shells, and manual pages.
//!
//! Always: the same program makes the same bytes, whatever the environment says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use program::durable_file::{self, FileMode};
use program::exit::{CommandFailure, ExitClass};
use program::output;

const PROGRAM: &str = "headwater";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Which shell.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
  headwater completions bash > /etc/bash_completion.d/headwater\n  \
  headwater completions zsh > /usr/local/share/zsh/site-functions/_headwater\n  \
  headwater completions fish > ~/.config/fish/completions/headwater.fish")]
pub(crate) struct CompletionsOptions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Where to.
#[derive(Args)]
#[command(after_help = "Example:\n  \
  headwater man --to ~/.local/share/man/man1 && man headwater-serve")]
pub(crate) struct ManOptions {
    /// The folder; it is made if it is missing. Pages that are there are replaced, each as a whole.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// Prints the completions of a shell.
///
/// # Errors
/// If standard output can't be written.
pub(crate) fn print_completions(options: &CompletionsOptions, command: Command) -> Result<(), CommandFailure> {
    let (mut command, mut script) = (without_hidden(&command), Vec::new());
    clap_complete::generate(options.shell, &mut command, PROGRAM, &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(())
}

/// The same command without those below it that are hidden, which no shell should offer. clap_complete looks at names, arguments and
/// their help only.
fn without_hidden(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new(PROGRAM)
        .about(command.get_about().cloned().unwrap_or_default())
        .version(VERSION)
        .propagate_version(true)
        .args(command.get_arguments().cloned())
        .subcommands(shown)
}

/// Writes a manual page for the program and for each of its commands.
///
/// # Errors
/// If the folder is a file, or a page can't be written; pages before it are written then.
pub(crate) fn write_pages(options: &ManOptions, command: Command) -> Result<(), CommandFailure> {
    let folder = &options.to;
    let failed = |path: &Path, error: io::Error| {
        let class = match path.is_file() {
            true if path == folder => ExitClass::Usage,
            _ => ExitClass::Unreachable,
        };
        CommandFailure::of(class, format!("{} can't be written: {error}", path.display()))
    };
    let mut command = command.disable_help_subcommand(true);
    command.build();
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for page in pages(&command) {
        let path = folder.join(page.get_filename());
        let mut bytes = Vec::new();
        page.render(&mut bytes).map_err(|error| failed(&path, error))?;
        durable_file::replace(&path, &bytes, FileMode::ByUmask).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// The pages of a command and of all below it, in the order of `--help`.
fn pages(command: &Command) -> Vec<Man> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    let page = Man::new(command.clone()).source(format!("{PROGRAM} {VERSION}"));
    std::iter::once(page).chain(shown.flat_map(pages)).collect()
}
