"""What people look at: the picture of play (overlay, keyboard, paint); what the runs found (results, plots, report)."""
