//! Placeholder: `tagcast serve <json of the configuration>`.
fn main() -> std::process::ExitCode {
    if let Some(role) = tagcast::server::Role::from_arguments(std::env::args_os()) {
        return role.run();
    }
    let text = std::env::args().nth(2).unwrap_or_default();
    let Ok(config) = tagcast::config::Config::from_json(&text) else { return 78.into() };
    match tagcast::supervisor::serve(config) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tagcast: {error}");
            error.exit_code().into()
        }
    }
}
