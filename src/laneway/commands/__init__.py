"""The commands of `laneway`, one file for each noun; `cli` names them."""
