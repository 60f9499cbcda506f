"""Every hot path beside what a user would write instead: equal results first, then time and memory, in one run."""
