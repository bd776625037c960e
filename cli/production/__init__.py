"""The production shape on one machine: its programs, its images, its secrets, and a trial of the whole."""
