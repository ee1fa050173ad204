//! From the command line to what does the work.

use crate::{
    cli::{Cli, Command, ConfigCommand, DemoArgs, DlqCommand, ImportArgs},
    config::{self, Config, Sources, Survey},
    exit::{self, Failure},
};

/// Does what the command line asks for.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Completions { shell } => completions(shell),
        Command::Config(ConfigCommand::Table) => exit::print(&config::reference()),
        Command::Config(ConfigCommand::Show) => show(&survey(&cli)),
        Command::Config(ConfigCommand::Check) => check(survey(&cli)),
        Command::Serve(_) => serve(survey(&cli).into_config()?),
        Command::Doctor => doctor(survey(&cli).into_config()?),
        Command::Demo(ref args) => demo(survey(&cli).into_config()?, args),
        Command::Import(ref args) => import(survey(&cli).into_config()?, args),
        Command::Dlq(ref command) => dlq(survey(&cli).into_config()?, command),
    }
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

fn serve(config: Config) -> Result<(), Failure> {
    missing("serve", config)
}

fn demo(config: Config, _: &DemoArgs) -> Result<(), Failure> {
    missing("demo", config)
}

fn import(config: Config, _: &ImportArgs) -> Result<(), Failure> {
    missing("import", config)
}

fn doctor(config: Config) -> Result<(), Failure> {
    missing("doctor", config)
}

fn dlq(config: Config, _: &DlqCommand) -> Result<(), Failure> {
    missing("dlq", config)
}

fn missing(command: &str, _: Config) -> Result<(), Failure> {
    Err(Failure::failed(format!("`rhiz {command}` is not built yet")))
}
