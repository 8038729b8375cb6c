use super::defs;
use super::parse::{Args, Pass, StdinTo, Wish, parse};
use super::plan::{Plan, Refusal, plan};
use std::ffi::OsString;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn args(line: &str) -> Args {
    match parse(words(line)).expect("understood") {
        Wish::Run(args) => args,
        other => panic!("{line}: {other:?}"),
    }
}

fn mistake(line: &str) -> String {
    parse(words(line)).expect_err("a mistake")
}

fn planned(line: &str) -> Result<Plan, Refusal> {
    let own = [("PATH", "/usr/bin:/bin"), ("HOME", "/h"), ("PMI_RANK", "3"), ("OXMPI_RANK", "7"), ("A", "1")];
    let own: Vec<(OsString, OsString)> = own.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    plan(&args(line), &own, &[])
}

fn env_of(plan: &Plan, group: usize) -> Vec<String> {
    plan.groups[group].program.env.iter().map(|entry| entry.to_string_lossy().into_owned()).collect()
}

#[test]
fn the_number_of_ranks_has_many_names() {
    for line in ["-n 3 a", "-np 3 a", "--np 3 a", "--n 3 a", "-np=3 a", "--np=3 a"] {
        assert_eq!(args(line).parts[0].procs, Some(3), "{line}");
    }
    assert_eq!(args("a").parts[0].procs, None);
    assert!(mistake("-n 0 a").contains("-n 0: this should be a number of ranks"));
    assert!(mistake("-n x a").contains("-n x"));
    assert!(mistake("-n").contains("-n needs N"));
}

#[test]
fn words_after_the_program_are_its_own() {
    let args = args("-n 2 python -n 5 --help -x y : -n 1 b -l");
    assert_eq!(args.parts[0].command, words("python -n 5 --help -x y"));
    assert_eq!(args.parts[1].command, words("b -l"));
    assert!(!args.label);
}

#[test]
fn a_double_dash_ends_the_flags() {
    assert_eq!(args("-n 2 -- -odd name").parts[0].command, words("-odd name"));
}

#[test]
fn parts_have_their_own_settings() {
    let args = args("-genv G 1 -n 1 -env E 2 -wdir / a : -n 2 -x F=3 b");
    assert_eq!(args.env, [("G".to_owned(), "1".into())]);
    assert_eq!(args.parts[0].env, [("E".to_owned(), Some("2".into()))]);
    assert_eq!(args.parts[0].dir.as_deref(), Some("/".as_ref()));
    assert_eq!(args.parts[1].env, [("F".to_owned(), Some("3".into()))]);
    assert_eq!(args.parts[1].dir, None);
}

#[test]
fn variables_are_passed_on_as_asked() {
    assert_eq!(args("-genvlist A,B -n 1 a").pass, Pass::Only(vec!["A".into(), "B".into()]));
    let all = env_of(&planned("-n 1 sh").expect("a plan"), 0);
    assert!(all.contains(&"A=1".to_owned()) && all.contains(&"PYTHONUNBUFFERED=1".to_owned()));
    let some = env_of(&planned("-genvlist A -n 1 sh").expect("a plan"), 0);
    assert!(some.contains(&"A=1".to_owned()) && !some.iter().any(|entry| entry.starts_with("HOME=")));
    let none = env_of(&planned("-genvnone -env HOME /x -x A -n 1 sh").expect("a plan"), 0);
    assert!(none.contains(&"HOME=/x".to_owned()) && none.contains(&"A=1".to_owned()));
    assert!(!none.iter().any(|entry| entry.starts_with("PATH=")));
}

#[test]
fn what_says_which_rank_a_process_is_does_not_reach_the_ranks() {
    let env = env_of(&planned("-n 1 sh").expect("a plan"), 0);
    assert!(!env.iter().any(|entry| entry.starts_with("PMI_RANK") || entry.starts_with("OXMPI_RANK")));
}

#[test]
fn flags_of_other_launchers_are_ignored_with_one_note() {
    let line = "--oversubscribe --allow-run-as-root --bind-to none --mca btl self,vader -launcher fork --map-by=core \
                -ppn 2 -hosts localhost -n 2 sh -c true";
    let plan = planned(line).expect("a plan");
    assert_eq!(plan.size(), 2);
    assert_eq!(plan.notes.len(), 1);
    for flag in ["--oversubscribe", "--bind-to", "--mca", "-launcher", "--map-by", "-ppn", "--host"] {
        assert!(plan.notes[0].contains(flag), "{flag}: {}", plan.notes[0]);
    }
    assert!(planned(&format!("--quiet {line}")).expect("a plan").notes.is_empty());
    assert!(planned("-n 2 sh").expect("a plan").notes.is_empty());
}

#[test]
fn another_mpi_library_for_the_ranks_is_pointed_out() {
    let notes = |line: &str| planned(line).expect("a plan").notes;
    assert!(notes("-x MPI4PY_LIBMPI=mpich -n 2 sh")[0].contains("MPI4PY_LIBMPI=mpich is set"));
    assert!(notes("-x MPI4PY_LIBMPI=mpich -n 1 sh").is_empty());
    assert!(notes("-x MPI4PY_LIBMPI= -n 2 sh").is_empty());
    assert!(notes("-x MPI4PY_LIBMPI=oxmpi -n 2 sh").is_empty());
}

#[test]
fn an_unknown_flag_names_the_nearest() {
    assert!(mistake("--oversubscibe a").contains("did you mean --oversubscribe"));
    assert!(mistake("--timout 3 a").contains("did you mean --timeout"));
    assert!(mistake("-wdri / a").contains("did you mean -wdir"));
    let text = mistake("--qwertyuiop a");
    assert!(text.contains("unknown flag") && !text.contains("did you mean"), "{text}");
}

#[test]
fn missing_programs_are_told() {
    assert!(mistake("").contains("no program"));
    assert!(mistake("-n 4").contains("no program after the flags"));
    assert!(mistake("-n 4 : b").contains("no program after the flags"));
    let refusal = planned("-n 1 no-such-program-here").expect_err("refused");
    assert!(refusal.status == 127 && refusal.text.contains("no-such-program-here"));
    let refusal = planned("-n 1 script.py").expect_err("refused");
    assert!(refusal.text.contains("did you mean: python script.py"), "{}", refusal.text);
    assert_eq!(planned("-n 1 /etc/passwd").expect_err("refused").status, 126);
}

#[test]
fn another_machine_is_refused() {
    let refusal = planned("-hosts node17,node18 -n 2 sh").expect_err("refused");
    assert!(refusal.text.contains("'node17' is not this machine") && refusal.text.contains("MPI4PY_LIBMPI"));
}

#[test]
fn several_programs_need_their_numbers() {
    assert!(planned("-n 1 sh : sh").expect_err("refused").text.contains("needs -n"));
}

#[test]
fn standard_input_goes_where_it_is_told() {
    assert_eq!(args("-n 2 a").stdin, StdinTo::Rank(0));
    assert_eq!(args("--stdin all -n 2 a").stdin, StdinTo::All);
    assert_eq!(args("-s none -n 2 a").stdin, StdinTo::Nobody);
    assert!(mistake("--stdin some -n 2 a").contains("--stdin some"));
    assert!(planned("--stdin 2 -n 2 sh").expect_err("refused").text.contains("2 ranks (0 to 1)"));
}

#[test]
fn no_name_stands_for_two_flags() {
    let mut names: Vec<_> = defs::FLAGS.iter().flat_map(|flag| flag.names).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_help_and_the_page_of_documentation_know_every_flag() {
    let help = defs::help();
    for name in defs::FLAGS.iter().flat_map(|flag| flag.names) {
        assert!(help.contains(&defs::dashed(name)), "{name}");
    }
    let page = include_str!("../../../../docs/mpiexec.md");
    assert!(page.contains(&defs::markdown()), "docs/mpiexec.md should hold this table:\n{}", defs::markdown());
    for var in shm::env::ALL {
        assert!(page.contains(&format!("| `{}` | {} |", var.name, var.what)), "{} is not in docs/mpiexec.md", var.name);
    }
}
