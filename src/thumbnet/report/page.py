from thumbnet.run_folder import RunFolder
def write_report(run: RunFolder) -> None:
    run.report.write_text("todo")
