"""Which tests run on Windows, and under Wine, and why the others do not; and which on macOS.

``tests/meta/test_windows.py`` holds that each test file is in one of the lists, and exists.
"""

from __future__ import annotations

from typing import Final

RUN: Final = tuple(
    f"tests/{name}.py"
    for name in """
    windows/test_windows windows/test_processes bot/test_config output/test_append output/test_text
    output/test_operations output/test_name_validation output/test_busy_files
    output/test_handles output/test_junctions output/test_close output/test_rotation
    watch/scenarios/test_scenarios watch/model/test_laws
    watch/unit/test_agenda watch/unit/test_borders watch/unit/test_change_detection
    watch/unit/test_compare watch/unit/test_debounce watch/unit/test_entry_record
    watch/unit/test_event_order watch/unit/test_hint_intake watch/unit/test_options
    watch/unit/test_rename_pairing watch/unit/test_settling_dirs watch/unit/test_state_file
    watch/unit/test_untracked watch/unit/test_gathering watch/unit/test_places
    watch/unit/test_explain
    watch/windows/test_windows_records watch/windows/test_windows_source
    watch/windows/test_watch_on_windows_hints watch/windows/test_drives
    watch/windows/test_windows_api watch/windows/test_hints_suffice
    shared/test_backoff shared/test_dead_letter shared/test_error_text
    shared/test_events_are_frozen
    shared/test_extended_path shared/test_file_lock shared/test_option_signature
    shared/test_keyed_queue shared/test_loop_guard
    shared/test_pipe_errors shared/test_job_object shared/test_console shared/test_watched_folder
    shared/test_pytest_plugin
    following/test_decisions following/test_options following/test_fault_table
    following/test_shells following/test_rotation_order
    bot/test_template bot/test_template_attacks bot/test_yaml bot/test_run_options bot/test_lines
    cli/test_main cli/test_plan cli/test_reference cli/test_doctor_windows
    bot/test_components bot/test_containment bot/test_examples bot/test_filesystem
    bot/test_dead_letters bot/test_reference bot/test_replay bot/test_runner bot/test_in_python
    bot/test_settings bot/test_schedule bot/test_webhook
    cli/test_exec cli/test_exec_batch cli/test_follow cli/test_render cli/test_write cli/test_writer
    examples/test_examples examples/test_pages examples/test_recipes
    following/test_async_follower following/test_faults
    following/test_starts
    intake/test_inbox intake/test_model intake/test_sync_inbox
    status/test_rates status/test_happenings status/test_wire status/test_record
    status/test_client status/test_program_status output/test_stats
    compat/test_substitute compat/test_watchfiles compat/test_watchfiles_surface
    compat/test_watchdog web/test_attacks web/test_server
    shared/test_atomic_file shared/test_daemon_threads shared/test_event_loop
    shared/test_events shared/test_file_stat shared/test_wire watch/kernel/test_async_watch
    watch/kernel/test_location watch/kernel/test_places_in_loops watch/model/test_laws_places
    """.split()
)
"""The longest first: they run several at once."""

RUN_ON_THE_OLDEST: Final = tuple(
    file
    for file in RUN
    if file.startswith(("tests/watch/", "tests/windows/")) and "/kernel/" not in file
)
"""Also run on the oldest Python, whose ``os.stat_result`` has no creation time of its own."""

LINUX_ALONE: Final = "about Linux alone: its kernel, its mounts, its signals"

LEFT_OUT: Final[dict[str, tuple[str, ...]]] = {
    LINUX_ALONE: tuple(
        """watch/kernel/test_faults watch/kernel/test_field_reports watch/kernel/test_hung_disk
        watch/kernel/test_several_directories
        watch/kernel/test_finished_folders watch/kernel/test_other_loops_and_forks
        watch/kernel/test_other_names watch/filesystems/test_filesystems watch/model/test_mounts
        watch/model/test_laws_crossings watch/model/test_recorded_streams
        watch/model/test_inode_reuse output/test_file_systems output/test_isolation
        output/test_unnamed_files
        bot/test_stop cli/test_stop cli/test_top cli/test_run_commands cli/test_on_a_terminal
        cli/test_processes cli/test_doctor shared/test_process_group
        following/test_symlinks output/test_attack intake/test_kill
        compat/test_clients""".split()
    ),
    "about the repository, which is the same everywhere": tuple(
        """web/test_prometheus
        meta/test_benchmarks meta/test_code_blocks meta/test_dependencies meta/test_docs
        meta/test_dist meta/test_imports meta/test_messages meta/test_repository meta/test_site
        meta/test_surface
        meta/test_words meta/test_windows meta/test_workflow cli/test_completion
        pythons/test_core pythons/test_extras bot/test_pythons""".split()
    ),
    "takes too long where each opening of a file costs milliseconds": tuple(
        """output/test_own_writes output/test_chaos output/test_async_output following/test_soak
        following/test_errnos following/test_model bot/test_model bot/test_config_fuzz
        shared/test_option_values
        cli/test_stdout output/test_faults""".split()
    ),
    "drives a browser, which is not there": (
        "web/test_browser",
        "web/test_browser_attacks",
        "web/test_story",
    ),
    "compares with a package that is not installed there": ("compat/test_watchdog_surface",),
    "about calls that Windows has not": ("shared/test_descriptors",),
    "about the compiled part, which is for Linux": tuple(
        """speedups/test_build speedups/test_choice speedups/test_directories speedups/test_leaks
        speedups/test_records speedups/test_rows speedups/test_sanitized
        speedups/test_statx""".split()
    ),
    "needs the server of a hub": tuple(
        """remote/test_agent remote/test_attacks remote/test_bot remote/test_checkpoint_store
        remote/test_cluster remote/test_cluster_transport remote/test_config
        remote/test_daemon remote/test_decoding
        remote/test_faults remote/test_hostile
        remote/test_how_to remote/test_permissions remote/test_presence remote/test_processes
        remote/test_protocol
        remote/test_reading remote/test_spool remote/test_status remote/test_tracing
        remote/test_transport""".split()
    ),
    "ends its programs with SIGTERM, which no program can answer here": (
        "compat/test_watchfiles_processes",
        "bot/test_mewbot",
        "bot/test_service",
        "bot/test_listening",
        "cli/test_inbox",
        "cli/test_log",
        "cli/test_terminal_log",
        "cli/test_watch",
    ),
    "about spans, whose packages are not fetched for it": (
        "bot/test_tracing",
        "examples/test_spans",
    ),
    "about names that are no text": ("bot/test_odd_names",),
    "writes paths as POSIX has them": (
        "cli/test_shown_paths",
        "cli/test_placeholders",
        "cli/test_color",
    ),
    "types into a shell, which Windows has not": ("examples/test_tutorial",),
}
"""Why -> files below ``tests``."""


def is_run_on(platform: str, file: str) -> bool:
    """Return whether a file of tests is for a system.

    Args:
        platform: As ``sys.platform`` has it.
        file: Path from the root of the project, with ``/``.
    """
    if platform == "win32":
        return file in RUN or not file.rpartition("/")[2].startswith("test_")
    if platform == "darwin":
        left_out = LEFT_OUT[LINUX_ALONE]
        return file.removeprefix("tests/").removesuffix(".py") not in left_out
    return True


SKIPPED: Final[dict[str, tuple[str, ...]]] = {
    "takes too long where each opening of a file costs milliseconds": (
        r"output/test_append.py::test_records_of_many_writers_never_mix",
        r"output/test_append.py::test_many_processes_rotate_one_file",
        r"output/test_rotation.py::test_several_processes_lose_and_double_no_record",
        r"output/test_rotation.py::test_cancelled_while_it_waits_for_a_foreign_lock",
        r"bot/test_runner.py::test_case_d10",
        r"following/test_starts.py::test_more_rotated_files_than_any_bound",
    ),
    "no SIGTERM that a program can answer, no SIGHUP": (
        r"bot/test_components.py::test_a_(program_that_is_restarted|bot_in_a_hurry)",
        r"bot/test_examples.py::test_audit",
        r"bot/test_reference.py::test_the_input_of_the_how_to_runs",
        r"bot/test_dead_letters.py::test_the_command_line",
        r"bot/test_replay.py::test_(the_whole_way|killed_in_the_middle)",
        r"bot/test_replay.py::test_a_(dead_letter_is_dropped|run_that_loses)",
        r"cli/test_exec.py::test_(nothing_is_left_running|without_groups|a_command_is_apart)",
        r"cli/test_exec.py::test_a(_command_that_fails|n_event_while|_third_event)",
        r"cli/test_follow.py::test_(across_rotation|a_checkpoint_continues)",
    ),
    "no such program (cksum, grep, cat, sh)": (
        r"bot/test_examples.py::test_inbox$",
        r"bot/test_reference.py::test_every_example_of_the_page_runs\[RunCommandAction",
    ),
    "a closed pipe is noticed at the next line here": (
        r"cli/test_follow.py::test_a_closed_pipe_ends_it",
        r"cli/test_writer.py::test_a_(descriptor_left|reader_that_leaves)",
    ),
    "os.kill with 0 asks for no process here": (
        r"bot/test_runner.py::test_a_program_that_does_not_end",
    ),
    "Wine is too slow for waits that are cancelled after a moment each": (
        r"watch/kernel/test_async_watch.py::test_cancelled_waits",
        r"watch/kernel/test_async_watch.py::test_the_loop_never_waits",
    ),
    "Wine gives a file that is being made another inode number now and then": (
        r"watch/scenarios/.*windows-(S10|W04)",
    ),
    "no descriptors in /proc/self/fd or /dev/fd": (
        r"following/test_faults.py::test_row_3[56]_",
        r"shared/test_daemon_threads.py::test_where_no_daemon",
    ),
    "a rename of an entry younger than 20 ms may be deleted and created here": (
        r"examples/test_examples.py::test_the_folder_example",
        r"compat/test_watchdog.py::test_created_modified_moved_deleted",
        r"compat/test_watchdog.py::test_chosen_events_alone",
    ),
    "no mounts": (r"following/test_faults.py::test_row_72",),
    "no permission bits here": (
        r"following/test_faults.py::test_the_state_is_readable",
        r"shared/test_atomic_file.py::test_a_file_is_created_and_replaced",
        r"output/test_operations.py::test_(new_files_have|a_new_file_has_the_mode)",
        r"output/test_operations.py::test_(overwritten_files_keep|what_is_write_protected)",
    ),
    "a manifest is written in place here": (
        r"output/test_close.py::test_a_rotation_in_which_each_close_fails",
    ),
    "each append closes its file here, for its lock": (
        r"output/test_close.py::test_of_a_batch_the_records_of_that_file_alone",
    ),
    "no module fcntl": (r"output/test_append.py::test_a_lock_is_waited_for",),
    "no times of an open file (os.utime of a descriptor)": (
        r"output/test_append.py::test_(by_day|no_older_and_no_more_bytes)",
    ),
    "Wine keeps the name of a deleted file or directory while it is open": (
        r"output/test_append.py::test_a_file_(that_goes_between|removed_within)",
        r"output/test_operations.py::test_a_root_that_is_deleted_and_comes_back",
        r"output/test_rotation.py::test_a_foreign_lock_keeps_only_its_own_file_waiting",
        r"watch/scenarios/.*watchfiles-S1[58]",
        r"following/test_async_follower.py::test_until_retired",
        r"following/test_faults.py::test_(row_70|events_that_nobody_takes)",
        r"watch/kernel/test_location.py::test_(a_storm_of|deleted_and_made|a_component_is)",
        r"examples/test_examples.py::test_the_demo_ends",
        r"examples/test_pages.py::test_the_watch_of_the_readme",
    ),
    "Wine reports a change to the innermost of two watched directories alone": (
        r"bot/test_filesystem.py::test_a_path_that_overlaps",
    ),
    "Wine lists a directory as empty now and then": (
        r"following/test_rotation_order.py::test_a_handler_that_rotates",
    ),
    "Wine has no CopyFile2, which shutil.copy2 calls": (
        r"following/test_starts.py::test_a_copy_that_replaces",
    ),
    "no directory is replaced by a rename here": (
        r"watch/scenarios/.*W39",
        r"following/test_fault_table.py::test_row\[row_3[01]\]",
        r"following/test_async_follower.py::test_rows.*row_3[01]\]",
        r"following/test_faults.py::test_row_30",
    ),
    "the test's own writer holds the file open": (
        r"following/test_fault_table.py::test_row\[row_(10|11|29)\]",
        r"following/test_async_follower.py::test_rows.*row_(10|11|29)\]",
        r"following/test_faults.py::test_strict_order",
        r"watch/unit/test_borders.py::test_a_held_new_file_that_is_replaced",
    ),
    "no /proc": (r"watch/unit/test_borders.py::test_an_ignore_file_that_is_no_file",),
    "a backend of Linux": (
        r"watch/unit/test_state_file.py::test_the_state_file_is_no_entry\[(fanotify|inotify)",
        r"watch/unit/test_options.py::test_a_backend_that_does_not_work",
        r"watch/kernel/test_async_watch.py::.*(fanotify|inotify)",
    ),
    "no hint of a writer's close here": (
        r"watch/unit/test_options.py::test_a_watch_is_pickled_as",
    ),
    "no limit of descriptors (module resource)": (
        r"watch/unit/test_options.py::test_out_of_descriptors",
    ),
    "its fake replaces a call that is not made here": (
        r"watch/unit/test_state_file.py::test_a_start_that_fails_keeps_the_state",
        r"output/test_text.py::test_a_mark_is_written_where_nothing_can_be_locked",
        r"shared/test_event_loop.py::test_a_trio_guest",
        r"shared/test_events.py::test_import_loads",
    ),
    "paths of POSIX in the test": (
        r"bot/test_template.py::test_what_a_template_expands_to\[\{(\{rel\}|% if path)",
        r"bot/test_template.py::test_filters_and_tests\[\{'a': none",
        r"shared/test_file_lock.py::test_a_path_that_cannot_be_opened",
        r"bot/test_components.py::test_a_command_gets_its_arguments",
        r"bot/test_webhook.py::test_the_event_is_posted",
        r"cli/test_exec.py::test_a_(loop_is_reported|command_gets_the_event|job_has)",
        r"cli/test_render.py::test_(escape|plain|the_encoding|ready|structured|paths0|events_ab)",
        r"cli/test_render.py::test_(stats|a_terminal)",
        r"following/test_async_follower.py::test_row_63",
        r"following/test_faults.py::test_row_65",
        r"following/test_starts.py::test_(no_folder|other_inode_numbers_while)",
        r"shared/test_events.py::test_places",
        r"shared/test_wire.py::test_(a_created_file_in_full|a_finished_folder)",
    ),
    "no name that is no text, and names that are equal in Unicode's view are one": (
        r"output/test_operations.py::test_(names_that_are_no_text|names_that_look_alike)",
        r"output/test_operations.py::test_portable_is_for_new_names",
        r"bot/test_webhook.py::test_text_that_is_no_unicode",
        r"cli/test_follow.py::test_(json_lines|other_encodings)",
        r"cli/test_write.py::test_a_path_that_is_no_text",
        r"following/test_faults.py::test_a_name_that_is_not_text",
        r"shared/test_wire.py::test_(any_event|base64_is_there|an_exact|an_object_of|a_rename)",
        r"shared/test_wire.py::test_watch_events_say",
    ),
    "a state of before there was limpet on Windows": (
        r"following/test_starts.py::test_the_state_of_version_2",
    ),
    "Linux' own modules": (r"cli/test_main.py::test_a_watch_loads_nothing",),
    "no such dates in this file system": (
        r"watch/unit/test_entry_record.py::test_both_ways_to_stat_agree_on_a_far_date",
    ),
}
"""Why -> patterns of the tests that are skipped, below ``tests``."""
