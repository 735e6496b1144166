<?php

/** Loads Composer's packages where there are some; otherwise those of Debian, which are in PHP's include path. */

declare(strict_types=1);

$composer = __DIR__ . '/../vendor/autoload.php';
if (is_file($composer)) {
    require $composer;
    return;
}
require __DIR__ . '/../autoload.php';
spl_autoload_register(static function (string $class): void {
    $prefix = 'Tagcast\\Client\\Tests\\';
    $file = __DIR__ . '/' . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
    if (str_starts_with($class, $prefix) && is_file($file)) {
        require $file;
    }
});
$packages = ['Psr/Log/autoload.php', 'Psr/Http/Message/autoload.php', 'Psr/Http/Message/factory-autoload.php',
    'Psr/Http/Client/autoload.php', 'Nyholm/Psr7/autoload.php'];
foreach ($packages as $package) {
    if (stream_resolve_include_path($package) !== false) {
        require_once $package;
    }
}
