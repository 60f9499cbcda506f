"""What is claimed, measured: tasks over seeds, and the page that says how they fell."""
