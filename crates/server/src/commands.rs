//! From the command line to what does the work.

use crate::{
    cli::{Cli, Command, ConfigCommand},
    config::{self, Config, Sources, Survey},
    demo_command, dlq, doctor,
    exit::{self, Failure},
    import, log, rebuild, serve,
};

/// Does what the command line asks for.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Completions { shell } => completions(shell),
        Command::Config(ConfigCommand::Table) => exit::print(&config::reference()),
        Command::Config(ConfigCommand::Show) => show(&survey(&cli)),
        Command::Config(ConfigCommand::Check) => check(survey(&cli)),
        Command::Serve(_) => {
            let config = ready(&cli)?;
            run_async(serve::run(config))
        }
        Command::Doctor => {
            let config = ready(&cli)?;
            run_async(doctor::run(config))
        }
        Command::Rebuild => {
            let config = ready(&cli)?;
            run_async(rebuild::run(config))
        }
        Command::Demo(ref args) => {
            let config = ready(&cli)?;
            run_async(demo_command::run(config, args, cli.global.data_dir.is_some()))
        }
        Command::Import(ref args) => {
            let config = ready(&cli)?;
            run_async(import::run(config, args))
        }
        Command::Dlq(ref command) => {
            let config = ready(&cli)?;
            run_async(dlq::run(config, command))
        }
    }
}

/// The configuration, with logging started by it.
fn ready(cli: &Cli) -> Result<Config, Failure> {
    let config = survey(cli).into_config()?;
    log::start(&config.log)?;
    Ok(config)
}

fn survey(cli: &Cli) -> Survey {
    config::survey(Sources {
        directory: std::path::PathBuf::new(),
        file: cli.global.config.clone(),
        environment: config::environment().collect(),
        flags: cli.flags(),
        fixed: cli.fixed(),
    })
}

fn show(survey: &Survey) -> Result<(), Failure> {
    exit::print(&config::shown(survey))?;
    if survey.problems.is_empty() { Ok(()) } else { Err(config::failure(&survey.problems)) }
}

fn check(survey: Survey) -> Result<(), Failure> {
    let file = survey.file.as_ref().map_or("no rhiz.toml".to_owned(), |p| p.display().to_string());
    survey.into_config()?;
    exit::print(&format!("the configuration can be used ({file}, environment and flags)\n"))
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::command(), "rhiz", &mut script);
    exit::print(&String::from_utf8_lossy(&script))
}

/// Runs what needs a runtime.
fn run_async(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::failed(format!("cannot start the runtime: {e}")))?;
    let result = runtime.block_on(work);
    // Not waited for: a thread may be blocked on a pipe that nobody closes.
    runtime.shutdown_background();
    result
}
