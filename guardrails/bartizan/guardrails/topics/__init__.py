"""What texts are about: topics that are allowed or denied, given by examples."""
