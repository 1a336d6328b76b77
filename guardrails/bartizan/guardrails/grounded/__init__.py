"""What answers claim: numbers, dates, names and links that stand in the texts they are based on."""
