"""What de-identification did, in counts: per attribute and outcome, as JSON and as a page to sign."""
