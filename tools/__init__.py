"""What looks after the repository, not part of the package: locks, licences, bill of materials."""
